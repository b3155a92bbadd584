"""What a request asks for, as treatments see it: which clauses touch an entry, and what else is asked.

Pure text work on the last user passage. A clause is a sentence, or the part of one that begins with a question word or
an order after a comma, a semicolon, "and", "also" or "then". A clause that points back ("what did he write?") belongs to
the clause before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from guardrail.decision import NO_PASSAGE, Decision, JsonPath, Passage, Role
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
    r"questions?|(?:quick )?question|go(?: on| ahead)?|"
    r"(?:answer|reply|respond|be (?:brief|concise|specific|detailed)|keep it)[\w ,]{0,40})\b[\w ,]{0,24}\W*$",
    re.IGNORECASE,
)
_LEADING = re.compile(r"^(?:and|also|then|plus)\b[\s,]*", re.IGNORECASE)
_FOLLOW_UP_WORDS = 16
_EMPTY_WORDS = 3


class Shape(StrEnum):
    """What a request asks for beside the entry."""

    PURE = "pure"  # nothing else
    MIXED = "mixed"  # other things as well
    SUPPLIED = "supplied"  # about content that the caller hands in
    EARLIER = "earlier"  # the entry was met in an earlier turn, in the system text or in a picture only


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """`passage` is the index of the last user passage; `replacements` are the texts of the last user turn without the
    clauses that touch (for MIXED)."""

    shape: Shape
    passage: int
    matched_passages: tuple[int, ...] = ()
    replacements: Mapping[JsonPath, str] = field(default_factory=dict)


def read_question(passages: Sequence[Passage], decision: Decision) -> Question:
    """Work out the shape of a request."""
    turn = last_turn(passages)
    last = turn[-1] if turn else max(0, len(passages) - 1)
    all_evidence = [item for detection in decision.detections for item in detection.evidence]
    evidence = [item for item in all_evidence if item.passage != NO_PASSAGE]
    matched = tuple(sorted({item.passage for item in evidence if not item.supplied}))
    allowed = {detection.entry.id for detection in decision.supplied}
    if any(detection.entry.id in allowed for detection in decision.detections):
        return Question(shape=Shape.SUPPLIED, passage=last, matched_passages=matched)
    if not passages or not matched:
        return Question(shape=Shape.EARLIER, passage=last)
    if _is_prompt_list(passages):
        return Question(shape=Shape.PURE, passage=last, matched_passages=matched)
    if not set(turn) & set(matched):
        shape = Shape.PURE if _is_still_open(passages, turn, matched) else Shape.EARLIER
        return Question(shape=shape, passage=last, matched_passages=matched)
    rest: dict[JsonPath, str] = {}
    for index in turn:
        text = passages[index].text
        spans = [(item.start, item.end) for item in evidence if item.passage == index and not item.supplied]
        rest[passages[index].path] = _without(text, _narrow(text, spans), is_first=index == turn[0])
    shape = Shape.MIXED if any(rest.values()) else Shape.PURE
    replacements = rest if shape is Shape.MIXED else {}
    return Question(shape=shape, passage=last, matched_passages=matched, replacements=replacements)


def last_turn(passages: Sequence[Passage]) -> list[int]:
    """The texts of the last user turn: all user messages behind the last answer, but for names and the like."""
    turn: list[int] = []
    for index in range(len(passages) - 1, -1, -1):
        role, path = passages[index].role, passages[index].path
        if role is Role.ASSISTANT and turn:
            break
        if role is Role.USER and path[-1] != "name":
            turn.append(index)
    return turn[::-1]


def _is_prompt_list(passages: Sequence[Passage]) -> bool:
    """True for several prompts in one request: each is a request of its own."""
    return sum(passage.path[0] == "prompt" and len(passage.path) > 1 for passage in passages) > 1


def _is_still_open(passages: Sequence[Passage], turn: Sequence[int], matched: Sequence[int]) -> bool:
    """Is the entry, met outside the last user turn, what the turn is about? If the turn points back or says next to
    nothing, or if the caller has begun the answer himself."""
    if any(passages[index].role is Role.ASSISTANT and index > max(turn, default=-1) for index in matched):
        return True
    words = " ".join(passages[index].text for index in turn).split()
    return len(words) <= _EMPTY_WORDS or (len(words) <= _FOLLOW_UP_WORDS and bool(_BACK.search(" ".join(words))))


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


def _without(text: str, spans: Sequence[tuple[int, int]], *, is_first: bool) -> str:
    """What is left of a text without the clauses that touch a span; empty if that is nothing of substance.

    A later text of a turn may point back to what an earlier one asked for (`is_first` is False).
    """
    kept: list[str] = []
    touched = not is_first
    ordered, at = sorted(spans), 0
    for start, end in clauses(text):
        clause = text[start:end].strip()
        while at < len(ordered) and ordered[at][1] <= start:
            at += 1
        hit = at < len(ordered) and ordered[at][0] < end
        if hit or (touched and _BACK.search(clause)):
            touched = True
            continue
        touched = touched and not kept
        if clause and not _SMALL_TALK.match(clause):
            kept.append(clause)
    rest = _LEADING.sub("", " ".join(kept)).strip(" ,;")
    return rest[:1].upper() + rest[1:] if len(rest.split()) > 1 else ""
