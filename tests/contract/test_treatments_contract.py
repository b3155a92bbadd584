"""Every treatment of the table keeps the promises of the family."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from guardrail.decision import Action, Capability, Decision, Detection, Evidence, EvidenceKind, Passage
from guardrail.openai_wire import WIRE_FORMATS
from guardrail.openai_wire.chat import ChatWire
from guardrail.policy import LADDER, STRICTNESS, next_rung, parts_of
from guardrail.settings import PolicySettings
from guardrail.treatments.text import TREATMENTS, parameters_of
from guardrail.treatments.text.apply import plan_for, treat
from guardrail.treatments.text.protocol import Means
from retrieval.entry import RegisteredEntry, parse_entry

NAME = "Zorblax Quint"
POLICY = PolicySettings()
MEANS = Means(capabilities=frozenset(Capability), naming_key=b"a key")
FACTS = [{"question": f"Where was {NAME} born?", "answer": "in the lighthouse of Port Ostra"}]
CHAT_ONLY = {"eco"}
"""Treatments that need parts of a message; elsewhere the next on the ladder does their work."""
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"Who is {NAME}?"}],
        "x_unknown": {"kept": [1, 2]},
    },
    "/v1/completions": {"model": "m", "prompt": f"Who is {NAME}?", "x_unknown": 1},
    "/v1/responses": {"model": "m", "instructions": "Be brief.", "input": f"Who is {NAME}?", "x_unknown": 1},
}


def entry(entry_id: str, **fields: Any) -> RegisteredEntry:
    now = datetime.now(UTC)
    parsed = parse_entry({"id": entry_id, "name": NAME, "substitute": "Ask the desk.", "facts": FACTS, **fields})
    return RegisteredEntry(id=entry_id, revision=1, entry=parsed, created_at=now, updated_at=now)


def decision(treatment: str, passages: list[Passage], *records: RegisteredEntry) -> Decision:
    index = next(place for place, passage in enumerate(passages) if NAME in passage.text)
    start = passages[index].text.index(NAME)
    evidence = Evidence(
        detector="lexical", kind=EvidenceKind.NAME, score=1.0, passage=index, start=start, end=start + len(NAME)
    )
    detections = tuple(Detection(entry=record, score=1.0, evidence=(evidence,)) for record in records)
    return Decision(action=Action.TREAT, treatment=treatment, detections=detections)


@pytest.mark.parametrize("name", TREATMENTS)
def test_a_treatment_is_a_frozen_dataclass_that_names_itself_and_its_source(name: str) -> None:
    treatment = TREATMENTS[name]
    assert treatment.name == name
    assert "arXiv" in treatment.paper
    assert dataclasses.is_dataclass(treatment)
    assert all(field.default is not dataclasses.MISSING for field in dataclasses.fields(treatment))
    assert {"on_leak", "holdback"} <= parameters_of(name)
    assert name in STRICTNESS


@pytest.mark.parametrize("name", TREATMENTS)
@pytest.mark.parametrize("path", WIRE_FORMATS)
def test_a_plan_answers_itself_or_edits_a_copy_and_keeps_unknown_fields(name: str, path: str) -> None:
    wire, body = WIRE_FORMATS[path](), BODIES[path]
    before = orjson.dumps(body)
    passages = wire.passages(body)
    plan = plan_for(passages, decision(name, passages, entry("e")), POLICY, means=MEANS)
    treated = treat(wire, body, before, plan)
    assert orjson.dumps(body) == before
    assert treated.body["x_unknown"] == body["x_unknown"]
    is_possible = path == "/v1/chat/completions" or name not in CHAT_ONLY
    assert plan.treatment == (name if is_possible else LADDER[name])
    assert NAME.lower() not in plan.repair.natural_answer.lower()
    assert plan.answer is not None or name != "refusal"


@pytest.mark.parametrize("name", TREATMENTS)
def test_the_order_of_entries_does_not_change_what_the_backend_sees(name: str) -> None:
    wire, body = ChatWire(), BODIES["/v1/chat/completions"]
    passages = wire.passages(body)
    one, two = entry("a"), entry("b", name="Other Name")
    sent = [
        treat(wire, body, b"", plan_for(passages, decision(name, passages, *order), POLICY, means=MEANS)).raw
        for order in ((one, two), (two, one))
    ]
    assert sent[0] == sent[1]


def test_the_instruction_stands_behind_the_system_text_and_the_conversation() -> None:
    wire = ChatWire()
    system = {"role": "system", "content": "Be brief."}
    earlier = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
    body = {"model": "m", "messages": [system, *earlier, {"role": "user", "content": f"Who is {NAME}?"}]}
    passages = wire.passages(body)
    plan = plan_for(passages, decision("ignorance", passages, entry("e")), POLICY)
    messages = treat(wire, body, b"", plan).body["messages"]
    assert messages[:3] == [system, *earlier]
    assert messages[3]["content"].startswith(f"Who is {NAME}?")
    assert messages[3]["content"].endswith(f"You don't know {NAME}.")


def test_every_rung_of_the_ladder_is_a_treatment_and_it_ends() -> None:
    for name in LADDER:
        seen = [name]
        while seen[-1] in LADDER:
            seen.append(LADDER[seen[-1]])
            assert set(parts_of(seen[-1])) <= TREATMENTS.keys()
            assert len(seen) <= len(LADDER) + 1


@pytest.mark.parametrize("name", [*TREATMENTS, *LADDER.values()])
def test_without_any_means_some_plan_is_made_all_the_same(name: str) -> None:
    wire = ChatWire()
    passages = wire.passages(BODIES["/v1/chat/completions"])
    plan = plan_for(passages, decision(name, passages, entry("e")), POLICY)
    assert set(parts_of(plan.treatment)) <= TREATMENTS.keys()


@pytest.mark.parametrize("capabilities", [set(), {Capability.BAD_WORDS}, set(Capability)], ids=["none", "words", "all"])
@pytest.mark.parametrize("name", [*TREATMENTS, *LADDER])
def test_attempts_that_leak_end_whatever_the_backend_can_do(name: str, capabilities: set[Capability]) -> None:
    passages = ChatWire().passages(BODIES["/v1/chat/completions"])
    means = Means(capabilities=frozenset(capabilities), naming_key=b"a key")
    tried: list[str] = []
    rung: str | None = name
    while rung is not None:
        tried.append(plan_for(passages, decision(rung, passages, entry("e")), POLICY, means=means).treatment)
        rung = next_rung(tried[-1])
    assert len(tried) == len(set(tried)), "no attempt is made twice"


@pytest.mark.parametrize(
    ("name", "capabilities", "made"),
    [
        ("stand_in+restrict", (), "stand_in"),
        ("stand_in+restrict", (Capability.RESTRICT,), "stand_in+restrict"),
        ("restrict+stand_in", (), "ignorance"),
        ("eco+restrict", (Capability.RESTRICT,), "ignorance"),
    ],
)
def test_the_first_of_a_list_is_what_is_done_and_the_others_add_what_they_can(
    name: str, capabilities: tuple[Capability, ...], made: str
) -> None:
    passages = ChatWire().passages(BODIES["/v1/chat/completions"])
    means = Means(capabilities=frozenset(capabilities), naming_key=b"a key")
    plan = plan_for(passages, decision(name, passages, entry("e")), POLICY, means=means)
    assert plan.treatment == made
