"""What a request asks for, as treatments see it: which clauses touch an entry, and what else is asked.

Pure text work on the last user passage. A clause is a sentence, or the part of one that begins with a question word or
an order after a comma, a semicolon, "and", "also" or "then". A clause that points back ("what did he write?") belongs to
the clause before it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from guardrail.decision import Decision, Passage, Role
from retrieval.text.views import sentences

_CLAUSE = re.compile(
    r"(?:[,;]\s*(?:and\s+|also\s+|then\s+)*|\s(?:and|also|then|plus)\s+)(?=(?:who|whom|whose|what|when|where|why|how|which|is|are|"
    r"was|were|does|did|do|can|could|tell|write|list|give|explain|name|describe|translate|summari[sz]e|compute|"
    r"calculate)\b)",
    re.IGNORECASE,
)
_BACK = re.compile(
    r"\b(?:he|she|him|his|her|hers|they|them|their|theirs|it|its|this|that|these|those|there|more|else|the (?:author|"
    r"person|writer|man|woman|book|work|novel|story))\b",
    re.IGNORECASE,
)
_SMALL_TALK = re.compile(
    r"^\W*(?:hi|hello|hey|thanks|thank you|please|ok|okay|good (?:morning|day|evening)|dear \w+|i have (?:a|some) "
    r"questions?|(?:quick )?question)\b[\w ,]{0,24}\W*$",
    re.IGNORECASE,
)
_LEADING = re.compile(r"^(?:and|also|then|plus)\b[\s,]*", re.IGNORECASE)
_FOLLOW_UP_WORDS = 16


class Shape(StrEnum):
    """What a request asks for beside the entry."""

    PURE = "pure"  # nothing else
    MIXED = "mixed"  # other things as well
    SUPPLIED = "supplied"  # about content that the caller hands in
    EARLIER = "earlier"  # the entry was met in an earlier turn or in the system text only


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """`passage` is the index of the last user passage; `rest` is what is left of it without the clauses that touch."""

    shape: Shape
    passage: int
    rest: str = ""
    matched_passages: tuple[int, ...] = ()


def read_question(passages: Sequence[Passage], decision: Decision) -> Question:
    """Work out the shape of a request."""
    if not passages:
        return Question(shape=Shape.EARLIER, passage=0)
    last = max((i for i, p in enumerate(passages) if p.role is Role.USER), default=len(passages) - 1)
    evidence = [item for detection in decision.detections for item in detection.evidence]
    matched = tuple(sorted({item.passage for item in evidence if not item.supplied}))
    allowed = {detection.entry.id for detection in decision.supplied}
    if any(detection.entry.id in allowed for detection in decision.detections):
        return Question(shape=Shape.SUPPLIED, passage=last, matched_passages=matched)
    text = passages[last].text
    spans = [(item.start, item.end) for item in evidence if item.passage == last and not item.supplied]
    if not spans:
        short = len(text.split()) <= _FOLLOW_UP_WORDS
        shape = Shape.PURE if short and _BACK.search(text) else Shape.EARLIER
        return Question(shape=shape, passage=last, matched_passages=matched)
    rest = _without(text, _narrow(text, spans))
    shape = Shape.MIXED if rest else Shape.PURE
    return Question(shape=shape, passage=last, rest=rest, matched_passages=matched)


def clauses(text: str) -> list[tuple[int, int]]:
    """The clauses of a text as spans."""
    found: list[tuple[int, int]] = []
    for start, end in sentences(text):
        low = start
        for cut in _CLAUSE.finditer(text, start, end):
            if cut.start() > low:
                found.append((low, cut.start()))
                low = cut.end()
        found.append((low, end))
    return found


def _narrow(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Without spans that cover the whole text, where narrower ones say the same."""
    parts = [span for span in spans if not (span[0] <= 0 and span[1] >= len(text.rstrip()))]
    return parts or list(spans)


def _without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """What is left of a text without the clauses that touch a span; empty if that is nothing of substance."""
    kept: list[str] = []
    touched = False
    for start, end in clauses(text):
        clause = text[start:end].strip()
        if any(low < end and high > start for low, high in spans) or (touched and _BACK.search(clause)):
            touched = True
            continue
        touched = touched and not kept
        if clause and not _SMALL_TALK.match(clause):
            kept.append(clause)
    rest = _LEADING.sub("", " ".join(kept)).strip(" ,;")
    return rest[:1].upper() + rest[1:] if len(rest.split()) > 1 else ""
