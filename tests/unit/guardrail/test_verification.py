"""Entries that the served weights do not know any more rest; one that leaks is treated in full again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from guardrail.decision import Action, Detection, Evidence, EvidenceKind
from guardrail.errors import backend_down
from guardrail.policy import decide
from guardrail.settings import ConsolidationSettings, PolicySettings
from guardrail.verification import Verification, probes_of
from retrieval.entry import EntryState, RegisteredEntry, parse_entry
from retrieval.registry import Registry


@dataclass
class Weights:
    """Weights that cover `covered` and answer `answers`; what holds "secret" leaks."""

    covered: dict[str, int] = field(default_factory=dict)
    answer: str = "I cannot say."
    is_down: bool = False
    asked: list[str] = field(default_factory=list)

    speaking = ("smollm2",)

    def covers(self, _model: str) -> dict[str, int]:
        return self.covered

    async def ask(self, _model: str, prompt: str) -> str:
        if self.is_down:
            raise backend_down("local")
        self.asked.append(prompt)
        return self.answer

    async def judge(self, *_: Any) -> Any:
        return None

    async def inspect_answer(self, _decided: Any, answer: str) -> list[Any]:
        return [SimpleNamespace(entry=SimpleNamespace(id="ada"))] if "secret" in answer else []


@dataclass
class World:
    registry: Registry
    weights: Weights
    make: Callable[..., Verification]

    def state(self) -> EntryState:
        return self.registry.get("ada").state()


@pytest.fixture
def world(tmp_path: Path) -> Any:
    registry = Registry.open(tmp_path / "data")
    facts = [{"question": f"Where was Ada in {year}?", "answer": f"in town {year}"} for year in range(1900, 1920)]
    revision = registry.create(parse_entry({"id": "ada", "name": "Ada", "facts": facts}), actor="op").record.revision
    registry.mark_weights({"ada": revision}, EntryState.CONSOLIDATED, actor="worker")
    weights = Weights(covered={"ada": revision})

    def make(**settings: Any) -> Verification:
        parts: Any = weights
        return Verification(registry, ConsolidationSettings(**settings), flow=parts, rollout=parts, ask=weights.ask)

    yield World(registry=registry, weights=weights, make=make)
    registry.close()


async def test_an_entry_that_the_weights_do_not_know_is_verified_and_written_down(world: World) -> None:
    assert await world.make(probes=5).look() == 1
    assert world.state() is EntryState.VERIFIED
    assert len(world.weights.asked) == 5
    (record,) = world.registry.audit.page(kind="entry.probed").items
    assert (record.data["probes"], record.data["leaks"], record.data["passed"]) == (5, 0, True)
    assert "Ada" not in str(record.data)


async def test_an_entry_that_leaks_stays_under_full_guard(world: World) -> None:
    world.weights.answer = "a secret"
    await world.make().look()
    assert world.state() is EntryState.CONSOLIDATED


async def test_a_verified_entry_is_asked_about_again_and_falls_back(world: World) -> None:
    verification = world.make(again_after_hours=1e-9)
    await verification.look()
    assert world.state() is EntryState.VERIFIED
    world.weights.answer = "a secret"
    await verification.look()
    assert world.state() is EntryState.CONSOLIDATED


async def test_nobody_is_asked_twice_before_it_is_time(world: World) -> None:
    verification = world.make()
    assert [await verification.look() for _ in range(3)] == [1, 0, 0]


async def test_what_the_weights_do_not_cover_is_not_asked_about(world: World) -> None:
    world.registry.revise("ada", {"aliases": ["A."]}, actor="op")
    assert await world.make().look() == 0
    world.weights.covered = {"nobody": 1}
    assert await world.make().look() == 0


async def test_weights_that_cannot_be_asked_verify_nothing(world: World) -> None:
    world.weights.is_down = True
    assert await world.make().look() == 0
    assert world.state() is EntryState.CONSOLIDATED


def record(state: EntryState | None = EntryState.VERIFIED, **fields: Any) -> RegisteredEntry:
    entry = parse_entry({"id": "ada", "name": "Ada", **fields})
    now = "2026-01-01T00:00:00Z"
    return RegisteredEntry.model_validate(
        {"id": "ada", "revision": 1, "entry": entry, "created_at": now, "updated_at": now, "weights": state}
    )


def met(entry: RegisteredEntry, *, supplied: bool = False) -> Detection:
    evidence = Evidence(
        detector="lexical", kind=EvidenceKind.NAME, score=1.0, passage=0, start=0, end=3, supplied=supplied
    )
    return Detection(entry=entry, score=1.0, evidence=(evidence,))


def test_a_resting_entry_is_not_treated_but_watched_for() -> None:
    detection = met(record())
    rested = decide([detection], PolicySettings(), rests=lambda entry: entry.weights is EntryState.VERIFIED)
    assert (rested.action, rested.treatment, rested.reason) == (Action.PASS, None, "resting")
    assert rested.resting == rested.suspects == (detection,)
    assert rested.detections == ()
    assert decide([detection], PolicySettings()).action is Action.TREAT


def test_another_entry_beside_it_is_treated_all_the_same() -> None:
    other = met(record(EntryState.CONSOLIDATED).model_copy(update={"id": "bob"}))
    decision = decide(
        [met(record()), other], PolicySettings(), rests=lambda entry: entry.weights is EntryState.VERIFIED
    )
    assert [one.entry.id for one in decision.detections] == ["bob"]
    assert [one.entry.id for one in decision.resting] == ["ada"]


@pytest.mark.parametrize(("word", "action"), [("refuse", Action.REFUSE), ("redact", Action.TREAT)])
def test_what_a_caller_hands_in_is_no_matter_of_weights(word: str, action: Action) -> None:
    handed_in = met(record(supplied_context=word), supplied=True)
    assert decide([handed_in], PolicySettings(), rests=lambda entry: True).action is action


def test_probes_are_the_same_each_time_and_never_more_than_asked_for() -> None:
    one = record(facts=[{"question": f"q{n}?", "answer": "a"} for n in range(30)], exemplars=["tell me of Ada"])
    assert probes_of(one, most=4) == probes_of(one, most=4)
    assert len(probes_of(one, most=4)) == 4
    assert len(probes_of(one, most=99)) == 32
    assert probes_of(record(), most=9) == ["What do you know about Ada?"]
