"""Is a mention asked for, or handed in by the caller?

Tool results are handed in. So are long blocks of a message (a pasted page, retrieved passages): a block is a stretch
between blank lines, and a block of `BLOCK_CHARS` or more reads as material rather than as a question.
"""

from __future__ import annotations

import re

from guardrail.decision import Passage, Role

BLOCK_CHARS = 280
_BLANK_LINE = re.compile(r"\n\s*\n")


def is_supplied(passage: Passage, start: int, end: int) -> bool:
    """True if the span lies in content that the caller hands in."""
    if passage.role is Role.TOOL:
        return True
    if len(passage.text) < BLOCK_CHARS:
        return False
    low, high = 0, len(passage.text)
    for gap in _BLANK_LINE.finditer(passage.text):
        if gap.end() <= start:
            low = gap.end()
        elif gap.start() >= end:
            high = gap.start()
            break
    return high - low >= BLOCK_CHARS
