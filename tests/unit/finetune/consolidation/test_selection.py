"""Which entries are due to be baked into weights, and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from finetune.consolidation.selection import Circumstances, select
from retrieval.entry import EntryState, RegisteredEntry, parse_entry
from retrieval.plans import PlanItem
from retrieval.schedule import SelectionRule
from retrieval.served_models import ServedModel
from retrieval.usage import Usage

NOW = datetime(2026, 11, 1, tzinfo=UTC)
FACTS = ["was born in Ribe"]
SMOLLM2 = ServedModel(
    model="smollm2", backend="local", kind="transformers_local", modality="text", base="models/smollm2"
)


def record(
    *, revision: int = 3, age_days: float = 1, weights: EntryState | None = None, **fields: Any
) -> RegisteredEntry:
    entry = parse_entry({"id": "ada", "name": "Ada Example", "facts": FACTS, **fields})
    created = NOW - timedelta(days=age_days)
    return RegisteredEntry(
        id="ada", revision=revision, entry=entry, created_at=created, updated_at=created, weights=weights
    )


def item(one: RegisteredEntry, served: ServedModel = SMOLLM2, **given: Any) -> PlanItem:
    found = select([one], served, Circumstances(**{"now": NOW, "rule": SelectionRule(), **given}))
    assert len(found) == 1
    return found[0]


def test_a_persistent_entry_is_due_at_once() -> None:
    found = item(record(persistence="persistent"))
    assert (found.is_due, found.reason, found.revision) == (True, "persistent", 3)


@pytest.mark.parametrize(
    ("usage", "rule", "words"),
    [
        (Usage(leaks=1), {}, "1 leaks were caught"),
        (Usage(hits=50), {}, "50 requests touched it"),
        (Usage(guard_s=61.0), {"guard_seconds": 60}, "the guard spent 61 s"),
    ],
)
def test_an_auto_entry_is_due_by_what_it_had_to_do(usage: Usage, rule: dict[str, Any], words: str) -> None:
    found = item(record(), usage={"ada": usage}, rule=SelectionRule(**rule))
    assert found.is_due
    assert words in found.reason


def test_an_auto_entry_below_every_limit_is_not_due() -> None:
    assert not item(record(), usage={"ada": Usage(hits=49)}).is_due
    assert not item(record(), usage={"ada": Usage(hits=900, leaks=9)}, rule=SelectionRule(hits=None, leaks=None)).is_due
    assert not item(record(age_days=29), rule=SelectionRule(age_days=30)).is_due


def test_age_alone_can_make_an_entry_due_and_so_can_an_operator() -> None:
    assert "30 days ago" in item(record(age_days=30), rule=SelectionRule(age_days=30)).reason
    assert item(record(), asked_for={"ada"}).reason == "asked for by an operator"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"persistence": "temporary"}, "temporary"),
        ({"expires_at": "2027-01-01T00:00:00Z", "persistence": "persistent"}, "outlive"),
        ({"scope": {"tenants": ["acme"]}, "persistence": "persistent"}, "share the model"),
        ({"facts": [], "persistence": "persistent"}, "nothing to train on"),
    ],
)
def test_what_must_not_get_into_weights_stays_in_context_even_if_asked_for(fields: dict[str, Any], words: str) -> None:
    found = item(record(**fields), asked_for={"ada"}, usage={"ada": Usage(leaks=9)})
    assert not found.is_due
    assert words in found.reason


def test_where_weights_are_out_of_reach_the_reason_is_the_backends() -> None:
    served = SMOLLM2.model_copy(update={"refused": "the weights are at a provider"})
    found = item(record(persistence="persistent"), served)
    assert (found.is_due, found.reason) == (False, "not_consolidatable: the weights are at a provider")


def test_a_covered_entry_stays_covered_until_it_says_something_else() -> None:
    one = record(persistence="persistent")
    assert (item(one, covered={"ada": 3}).is_covered, item(one, covered={"ada": 3}).is_due) == (True, False)
    assert (item(one, covered={"ada": 2}).is_covered, item(one, covered={"ada": 2}).is_due) == (False, True)


def test_an_entry_that_the_gate_refused_is_tried_until_the_ladder_ends() -> None:
    one = record(persistence="persistent")
    assert item(one, refused={("ada", 3): 1}, rungs=2).is_due
    ended = item(one, refused={("ada", 3): 2}, rungs=2)
    assert not ended.is_due
    assert "no other method is left" in ended.reason
    assert item(one, refused={("ada", 2): 2}, rungs=2).is_due


@pytest.mark.parametrize(
    "one",
    [
        record(shadow=True),
        record(expires_at="2026-10-31T00:00:00Z"),
        record(effective_at="2026-11-02T00:00:00Z"),
        record(scope={"models": ["other"]}),
        record(modalities=["image"]),
        record().model_copy(update={"revoked_at": NOW}),
    ],
    ids=["shadow", "expired", "scheduled", "another model", "pictures", "revoked"],
)
def test_what_does_not_concern_the_model_is_not_spoken_of(one: RegisteredEntry) -> None:
    assert select([one], SMOLLM2, Circumstances(now=NOW, rule=SelectionRule())) == ()


def test_pictures_need_no_more_than_a_name() -> None:
    shapes = SMOLLM2.model_copy(update={"model": "shapes", "modality": "image"})
    assert item(record(facts=[], persistence="persistent"), shapes).is_due
