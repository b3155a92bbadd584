"""Is a mention asked for, or handed in by the caller?

Tool results and tool-call arguments are handed in, but for short results that ask. So are long blocks of a message (a
pasted page, retrieved passages): a block is a stretch between blank lines, and one of `BLOCK_CHARS` or more reads as
material. A sentence that asks or orders is never handed in, however long the text around it is; nor is a message of one
or two long sentences and nothing else, which can only be the request; nor a block that talks to the model about how it
shall answer (a jailbreak's wrapper), nor what is encoded.
"""

from __future__ import annotations

import re

from guardrail.decision import Passage, Role
from guardrail.detectors.asking_words import ASKS, QUESTION_MARKS

BLOCK_CHARS = 280
_LONGEST_SENTENCE_CHARS = 600
_ENDS = ".!?\n。！？؟"
_DATA = ("{", "[", "<", "|", "`")
_SENTENCES_OF_A_PAGE = 3
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’»)]*(?=\s|\Z)|[。！？]")
_BLANK = re.compile(r"_{2,}")
_LEADS_IN = re.compile(
    r"\b(?:question|prompt|query|request|task|instruction|answer)s?\s*(?:is|are)?\s*[:=]\W*\Z", re.IGNORECASE
)
_LEAD_IN_CHARS = 40
_YOU = re.compile(r"\b(?:you|your|yours|yourself|chatgpt)\b", re.IGNORECASE)
_CHARS_A_YOU = 250
_ANSWERING = re.compile(
    r"\b(?:answer|respond|reply|response|prompt|question|pretend|act as|role|character|persona)\w*\b", re.IGNORECASE
)


def is_supplied(passage: Passage, start: int, end: int) -> bool:
    """True if the span lies in content that the caller hands in."""
    text = passage.text
    if passage.role is Role.TOOL:
        return "arguments" in passage.path or len(text) >= BLOCK_CHARS or not _asks(text, start, end)
    if len(text) < BLOCK_CHARS:
        return False
    low = text.rfind("\n\n", 0, start) + 1
    high = text.find("\n\n", end)
    high = len(text) if high < 0 else high
    if high - low < BLOCK_CHARS:
        return False
    if _asks(text, start, end) or _is_bare_request(passage):
        return False
    return not _addresses_the_model(text[low:high])


def _is_bare_request(passage: Passage) -> bool:
    """True for a user's message of one or two sentences, however long: a page has more, and data are no sentences."""
    text = passage.text.strip()
    if passage.role is not Role.USER or text[:1] in _DATA or "\n" in text:
        return False
    return len(_SENTENCE_END.findall(text)) < _SENTENCES_OF_A_PAGE


def _addresses_the_model(block: str) -> bool:
    """True if a block speaks to its reader, often, and of answers and prompts."""
    spoken_to = len(_YOU.findall(block))
    return spoken_to >= 2 and spoken_to * _CHARS_A_YOU >= len(block) and bool(_ANSWERING.search(block))


def _asks(text: str, start: int, end: int) -> bool:
    """True if the sentence around the span is a question or begins like one, or like an order."""
    low = max(text.rfind(mark, max(0, start - _LONGEST_SENTENCE_CHARS), start) for mark in _ENDS) + 1
    ends = [place for mark in _ENDS if (place := text.find(mark, end, end + _LONGEST_SENTENCE_CHARS)) >= 0]
    high = min(ends, default=min(len(text), end + _LONGEST_SENTENCE_CHARS))
    if text[high : high + 1] in QUESTION_MARKS or _BLANK.search(text, low, high) or ASKS.match(text, low, high):
        return True
    lead_in = max(low, text.rfind("\n", 0, start) + 1)
    return bool(_LEADS_IN.search(text, max(0, lead_in - _LEAD_IN_CHARS), start))
