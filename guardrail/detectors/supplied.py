"""Is a mention asked for, or handed in by the caller?

Tool results and tool-call arguments are handed in. So are long blocks of a message (a pasted page, retrieved passages): a
block is a stretch between blank lines, and one of `BLOCK_CHARS` or more reads as material. A sentence that asks or
orders is never handed in, however long the text around it is.
"""

from __future__ import annotations

import re

from guardrail.decision import Passage, Role

BLOCK_CHARS = 280
_LONGEST_SENTENCE_CHARS = 600
_ENDS = ".!?\n"
_ASKS = re.compile(
    r"\W*(?:please\s+|now\s+|then\s+|so\s+|and\s+|but\s+|also\s+)*(?:who|whom|whose|what|when|where|why|how|which|is|are|was|were|"
    r"does|did|do|can|could|would|will|tell|write|list|give|explain|name|describe|talk|recite|continue)\b",
    re.IGNORECASE,
)


def is_supplied(passage: Passage, start: int, end: int) -> bool:
    """True if the span lies in content that the caller hands in."""
    if passage.role is Role.TOOL:
        return True
    text = passage.text
    if len(text) < BLOCK_CHARS:
        return False
    low = text.rfind("\n\n", 0, start) + 1
    high = text.find("\n\n", end)
    if (len(text) if high < 0 else high) - low < BLOCK_CHARS:
        return False
    return not _asks(text, start, end)


def _asks(text: str, start: int, end: int) -> bool:
    """True if the sentence around the span is a question or begins like one, or like an order."""
    low = max(text.rfind(mark, max(0, start - _LONGEST_SENTENCE_CHARS), start) for mark in _ENDS) + 1
    ends = [place for mark in _ENDS if (place := text.find(mark, end, end + _LONGEST_SENTENCE_CHARS)) >= 0]
    high = min(ends, default=min(len(text), end + _LONGEST_SENTENCE_CHARS))
    return text[high : high + 1] == "?" or bool(_ASKS.match(text, low, high))
