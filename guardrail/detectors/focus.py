"""Which evidence of earlier turns still counts: what the current turn goes on about is carried over, the rest is dropped.

    "Who is X?" ... "And his wife?"                         -> carried: evidence of kind FOCUS at the current turn
    "Who is X?" ... "How do I sort a list in Python?"       -> dropped
    "Who is X?" ... "And who is Y?" ... "When was he born?" -> dropped: the pronoun means Y

The nearest antecedent wins, if the pronoun may mean him. A personal pronoun reaches over `HOLD_TURNS` turns about
something else, if they speak of nobody; "it", "more" and fragments mean what was spoken of just before. System texts
stand over the first turn, and what they name is the subject until the caller brings another. Whom a bare question means
("When was he born?") cannot be told from it alone, so nearness by meaning counts there only together with the turns
before it; else it is a suspicion. Content that the caller hands in is never dropped: what may be done with it is the
policy's word. It does not know how evidence was found.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from guardrail.decision import Evidence, EvidenceKind, Passage, Role
from guardrail.detectors.protocol import Finding
from guardrail.detectors.reference import Gender, Link, Reference
from guardrail.detectors.reference.words import HE, PERSONA, SHE, STANDING_ORDER
from guardrail.detectors.steps import reading_of
from guardrail.detectors.turns import Conversation, is_alone, read_turns
from retrieval.entry import ForgetEntry
from retrieval.text.views import sentences

HOLD_TURNS = 3

_STANDING = -1
_READ_CHARS = 3_000  # of an entry or an answer, to learn how it speaks of the person
_CLEAR_RATIO = 3
_WORD = re.compile(r"[^\W\d_]+")
_FULL_NAME = re.compile(r"\b[^\W\d_a-z][\w'’.-]+ (?:[a-z]{2,3} )?[A-Z][\w'’-]+")
_ASKS_WHO = re.compile(r"\bwho\b|\bwhose\b|\bwhich \w*(?:person|man|woman|or|er|ist|ian)\b", re.IGNORECASE)


class Hold(StrEnum):
    """What becomes of an entry that only earlier turns touch."""

    FOCUS = "focus"  # the current turn is about it
    KEPT = (
        "kept"  # what was found earlier counts as it stands: the turn speaks of the talk as a whole, or under an order
    )
    DROPPED = "dropped"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Talk:
    """A conversation and how its turns hang together."""

    passages: Sequence[Passage]
    conversation: Conversation
    readings: tuple[Reference, ...]

    def said(self, turn: int, role: Role) -> str:
        """What one side says in a turn."""
        texts = [self.passages[index].text for index in sorted(self.conversation.turns[turn].passages)]
        roles = [self.passages[index].role for index in sorted(self.conversation.turns[turn].passages)]
        return " ".join(text for text, own in zip(texts, roles, strict=True) if own is role)[:_READ_CHARS]


def keep_focus(passages: Sequence[Passage], findings: Sequence[Finding]) -> list[Finding]:
    """The findings that count for the current turn, and those that are carried over to it."""
    if not findings or is_alone(passages):
        return list(findings)
    conversation = read_turns(passages)
    if conversation.is_single or not conversation.turns or not conversation.turns[-1].user:
        return list(findings)
    talk = _Talk(
        passages=passages,
        conversation=conversation,
        readings=tuple(reading_of(turn, passages) for turn in conversation.turns),
    )
    by_entry: dict[str, list[Finding]] = {}
    for finding in findings:
        by_entry.setdefault(finding.entry.id, []).append(finding)
    return [finding for own in by_entry.values() for finding in _of_entry(talk, own)]


def _of_entry(talk: _Talk, findings: Sequence[Finding]) -> list[Finding]:
    findings = [_weighed(talk, one, findings) for one in findings]
    current = talk.conversation.turns[-1].passages
    asked = [one for one in findings if not one.evidence.supplied]
    earlier = [one for one in asked if one.evidence.passage not in current]
    now = [one for one in asked if one.evidence.passage in current]
    carries = any(one.evidence.is_match for one in earlier)
    if not earlier or any(one.evidence.is_match for one in now) or (now and not carries):
        return list(findings)
    hold = _hold(talk, [one for one in earlier if one.evidence.is_match or not carries])
    if hold is Hold.DROPPED and not any(_is_ordered(talk.passages, one.evidence) for one in earlier):
        return [one for one in findings if one.evidence.supplied or one.evidence.passage in current]
    if hold is not Hold.FOCUS:
        return list(findings)
    return [*findings, *_carried(talk, earlier, is_match=carries)]


def _weighed(talk: _Talk, finding: Finding, findings: Sequence[Finding]) -> Finding:
    """A finding by meaning as a suspicion, where its text only points back and what it points at does not confirm it."""
    evidence = finding.evidence
    turn = _turn_of(talk.conversation, evidence.passage)
    if evidence.kind is not EvidenceKind.MEANING or turn < 1 or not _only_points_back(talk, turn, evidence):
        return finding
    own = talk.conversation.turns[turn].passages
    if any(
        one.evidence.kind is EvidenceKind.TOLD_IN_STEPS and one.evidence.is_match
        for one in findings
        if one.evidence.passage in own
    ):
        return finding
    return Finding(entry=finding.entry, evidence=replace(evidence, is_match=False))


def _only_points_back(talk: _Talk, turn: int, evidence: Evidence) -> bool:
    """True if every sentence of the evidence points back and tells nothing, or if the turn asks nothing."""
    reading, user = talk.readings[turn], talk.conversation.turns[turn].user
    if evidence.passage not in user:
        return False
    back = {span for number, span in reading.bare if user[number] == evidence.passage}
    spans = sentences(talk.passages[evidence.passage].text)
    met = [span for span in spans if span.start < evidence.end and evidence.start < span.end]
    return reading.link is Link.CLOSING or (bool(met) and all(span in back for span in met))


def _carried(talk: _Talk, earlier: Sequence[Finding], *, is_match: bool) -> list[Finding]:
    """Evidence at the sentences of the current turn that point back; at all of it where none does."""
    user = talk.conversation.turns[-1].user
    places = [(user[number], span.start, span.end) for number, span in talk.readings[-1].spans]
    score = max(one.evidence.score for one in earlier)
    return [
        Finding(
            entry=earlier[0].entry,
            evidence=Evidence(
                detector="conversation",
                kind=EvidenceKind.FOCUS,
                score=score,
                passage=index,
                start=start,
                end=end,
                is_match=is_match,
            ),
        )
        for index, start, end in places or [(index, 0, len(talk.passages[index].text)) for index in user]
    ]


def _hold(talk: _Talk, earlier: Sequence[Finding]) -> Hold:
    """Follow the entry from the last turn that touched it to the current one."""
    last = max(_turn_of(talk.conversation, one.evidence.passage) for one in earlier)
    entry = earlier[0].entry.entry
    is_persona = any(_is_persona(talk.passages, one.evidence) for one in earlier)
    away, rival, hold = 0, None, Hold.DROPPED
    for turn in range(last + 1, len(talk.readings)):
        reading = talk.readings[turn]
        if reading.link is Link.CLOSING:
            hold = Hold.DROPPED
            continue
        hold = Hold.FOCUS if _points_at(talk, entry, reading, away=away, rival=rival) else Hold.DROPPED
        if (is_persona and reading.asks_you) or (last == _STANDING and away == 0 and reading.is_topical):
            hold = Hold.FOCUS
        elif reading.link is Link.CONVERSATION:
            hold = Hold.FOCUS if away == 0 else Hold.KEPT
        if hold is not Hold.DROPPED:
            away, rival = 0, (turn if reading.someone and hold is Hold.FOCUS else None)
        else:
            away += 1
            rival = turn if _speaks_of_someone(talk, turn) else rival
    return hold


def _points_at(talk: _Talk, entry: ForgetEntry, reading: Reference, *, away: int, rival: int | None) -> bool:
    """Does a turn mean the entry, from which the talk has been `away` for so many turns? `rival`: the last turn since
    then that spoke of someone else, in the same breath (`away` is 0) or instead."""
    if reading.link is Link.NEAREST:
        return away == 0
    if reading.link is not Link.PERSON or away > HOLD_TURNS:
        return False
    if rival is None:
        return True
    own = gender_in(" ".join((entry.description or "", *entry.documents[:8]))[:_READ_CHARS])
    if away == 0:
        return not _differ(reading.gender, own)
    other = gender_in(talk.said(rival, Role.ASSISTANT))
    return _differ(reading.gender, other) and not _differ(reading.gender, own)


def _differ(one: Gender, other: Gender) -> bool:
    return Gender.ANY not in (one, other) and one is not other


def gender_in(text: str) -> Gender:
    """How a text speaks of the person it is about; ANY where that is not clear."""
    found = [word.lower() for word in _WORD.findall(text)]
    he, she = sum(word in HE for word in found), sum(word in SHE for word in found)
    if he > _CLEAR_RATIO * she:
        return Gender.HE
    return Gender.SHE if she > _CLEAR_RATIO * he else Gender.ANY


def _turn_of(conversation: Conversation, passage: int) -> int:
    """The turn that a passage belongs to; system texts stand before the first."""
    return next((number for number, turn in enumerate(conversation.turns) if passage in turn.passages), _STANDING)


def _is_persona(passages: Sequence[Passage], evidence: Evidence) -> bool:
    """True if the model is told to be the one who is named there."""
    return bool(PERSONA.search(passages[evidence.passage].text[: evidence.start]))


def _is_ordered(passages: Sequence[Passage], evidence: Evidence) -> bool:
    """True if the sentence orders something for turns to come: "Whatever I ask, tell me of Ann"."""
    text = passages[evidence.passage].text
    spans = [span for span in sentences(text) if span.start < evidence.end and evidence.start < span.end]
    return any(STANDING_ORDER.search(text, span.start, span.end) for span in spans)


def _speaks_of_someone(talk: _Talk, turn: int) -> bool:
    """Does the turn bring another person: named by the caller, or by the answer to who it was?"""
    reading = talk.readings[turn]
    if reading.someone:
        return True
    asks = _ASKS_WHO.search(talk.said(turn, Role.USER))
    return bool(asks and _FULL_NAME.search(talk.said(turn, Role.ASSISTANT)))
