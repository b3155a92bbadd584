"""Where a request names its entries or holds clues to them: each entry by itself, whatever their ids are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from guardrail.decision import Action, Decision, Detection, Evidence, EvidenceKind, Passage, Repair, Role
from guardrail.settings import PolicySettings
from guardrail.treatments.text.protocol import Means, TreatmentContext
from guardrail.treatments.text.question import read_question
from guardrail.treatments.text.stand_in import StandInName
from retrieval.entry import RegisteredEntry, parse_entry

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TITLE = "The Salt Orchard"


def found(text: str, entry_id: str, *, name: str | None = None, **fields: Any) -> Detection:
    """An entry that is met in the text by its name, or, where it has none there, by meaning."""
    entry = parse_entry({"name": name or "Nobody Here", "kind": "person", **fields})
    record = RegisteredEntry(id=entry_id, revision=1, entry=entry, created_at=NOW, updated_at=NOW)
    start = text.index(name) if name else 0
    kind = EvidenceKind.NAME if name else EvidenceKind.MEANING
    evidence = Evidence(
        detector="d", kind=kind, score=1.0, passage=0, start=start, end=start + len(name) if name else len(text)
    )
    return Detection(entry=record, score=1.0, evidence=(evidence,))


def context(text: str, detections: Sequence[Detection]) -> TreatmentContext:
    passages = [Passage(path=("messages", 0, "content"), role=Role.USER, text=text)]
    decision = Decision(action=Action.TREAT, detections=tuple(detections))
    return TreatmentContext(
        passages=passages,
        decision=decision,
        question=read_question(passages, decision),
        policy=PolicySettings(),
        repair=Repair(),
        means=Means(naming_key=b"a key"),
    )


@pytest.mark.parametrize("other", ["a/b", "a\nb", "ab", "b"])
def test_an_entry_that_is_not_named_is_not_taken_for_one_whose_id_goes_on(other: str) -> None:
    text = "Who is Mira Quelle, and who lives by the sea?"
    named = found(text, other, name="Mira Quelle")
    assert StandInName().plan(context(text, [named])) is not None
    assert StandInName().plan(context(text, [named, found(text, "a")])) is None


def test_a_clue_counts_for_the_entry_whose_texts_hold_it_and_gives_way_beside_a_name() -> None:
    text = f"Did Mira Quelle or somebody else write '{TITLE}'?"
    named, clued = found(text, "mira", name="Mira Quelle"), found(text, "a", description=f"Who wrote {TITLE}.")
    plan = StandInName().plan(context(text, [named, clued]))
    assert plan is not None
    (left,) = plan.replacements.values()
    assert "Quelle" not in left
    assert "Orchard" not in left
    assert {swap.written for swap in plan.swaps} == {"Mira Quelle", TITLE}
