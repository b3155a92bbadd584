"""One question about an entry as `eco` would send it under some strength, and whether the answer tells the fact.

What `strength_search` asks and judges by. A fact is told where its answer's words stand in the model's answer, or where
this recites it, and the question does not hold them itself. Places come from the entry's own names, as a detector finds
them in plain spelling. It does not know backends: it makes request bodies and reads texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from guardrail.decision import (
    Action,
    Capability,
    CorruptionKind,
    Decision,
    Detection,
    Evidence,
    EvidenceKind,
    Passage,
    Repair,
    Role,
    TreatedRequest,
)
from guardrail.settings import PolicySettings
from guardrail.treatments.embeds_in import Corrupt, corrupt_parts
from guardrail.treatments.text.eco import EmbeddingCorruption
from guardrail.treatments.text.protocol import Means, TreatmentContext
from guardrail.treatments.text.question import read_question
from retrieval.entry import Fact, ForgetEntry, RegisteredEntry
from retrieval.recital import RecitalBook
from retrieval.text.automaton import PhraseAutomaton
from retrieval.text.phrases import PhraseTag, phrases_of
from retrieval.text.views import normalise

_PATH = ("messages", 0, "content")
_CAN = frozenset({Capability.CHAT, Capability.PROMPT_EMBEDS})
_KEY = b"strength trial"
"""The noise of a trial is always the same; that of a deployment hangs on its own key."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A question that names the entry, and the fact that must not be told."""

    record: RegisteredEntry
    fact: Fact
    detection: Detection

    @property
    def question(self) -> str:
        return self.fact.question

    @property
    def identity(self) -> list[Any]:
        """What an answer and the verdict on it hang on, beside the model and the corruption; JSON."""
        places = [(item.start, item.end) for item in self.detection.evidence]
        return [self.record.id, self.record.entry.names, places, self.question, self.fact.answer]

    def body(self, kind: CorruptionKind, strength: float, corrupt: Corrupt, **fields: Any) -> bytes:
        """The request; strength 0 leaves the question as it is. Blocking."""
        body = {"messages": [{"role": "user", "content": self.question}], "temperature": 0, **fields}
        treated = TreatedRequest(body=body, raw=orjson.dumps(body))
        if strength <= 0:
            return treated.raw
        plan = EmbeddingCorruption(kind=kind, strength=strength).plan(self._context())
        return treated.raw if plan is None else corrupt_parts(treated, plan, corrupt).raw

    def tells(self, answer: str, book: RecitalBook) -> bool:
        """True if the answer tells the fact."""
        fact, said = (f" {' '.join(normalise(text).words)} " for text in (self.fact.answer, answer))
        return bool(fact.strip()) and (fact in said or book.recites(self.record, self.question, answer))

    def _context(self) -> TreatmentContext:
        passages = [Passage(path=_PATH, role=Role.USER, text=self.question)]
        decision = Decision(action=Action.TREAT, treatment=EmbeddingCorruption.name, detections=(self.detection,))
        return TreatmentContext(
            passages=passages,
            decision=decision,
            question=read_question(passages, decision),
            policy=PolicySettings(),
            repair=Repair(),
            means=Means(capabilities=_CAN, naming_key=_KEY),
        )


def trials_of(entry: ForgetEntry, entry_id: str) -> list[Trial]:
    """A trial for each fact whose question names the entry and does not hold the answer; each question once."""
    found: dict[str, Trial] = {}
    names = PhraseAutomaton[PhraseTag]()
    for phrase in phrases_of(entry_id, entry.model_copy(update={"facts": ()})):
        names.add(phrase.text, phrase.tag)
    for fact in entry.facts:
        asked, told = (f" {' '.join(normalise(text).words)} " for text in (fact.question, fact.answer))
        evidence = _evidence(names, fact.question)
        if evidence and told.strip() and told not in asked:
            detection = Detection(entry=_record(entry_id, entry, fact), score=1.0, evidence=evidence)
            found.setdefault(fact.question, Trial(detection.entry, fact, detection))
    return list(found.values())


def _evidence(names: PhraseAutomaton[PhraseTag], text: str) -> tuple[Evidence, ...]:
    hits: Sequence[Any] = [
        hit for hit in names.find(text) if any(tag.fits(text[hit.start : hit.end]) for tag in hit.tags)
    ]
    return tuple(
        Evidence(detector="lexical", kind=EvidenceKind.NAME, score=1.0, passage=0, start=hit.start, end=hit.end)
        for hit in hits
    )


def _record(entry_id: str, entry: ForgetEntry, fact: Fact) -> RegisteredEntry:
    """The entry with this fact alone, so that only its recital counts."""
    now = datetime.now(UTC)
    own = entry.model_copy(update={"facts": (fact,), "documents": (), "description": ""})
    return RegisteredEntry(id=entry_id, revision=0, entry=own, created_at=now, updated_at=now)
