"""`restrict`: what is forbidden travels as the backend understands it, beside what the caller sent."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from guardrail.decision import Action, Capability, Decision, Detection, TreatmentPlan
from guardrail.decoding.phrase_bans import DEFAULT_STRENGTH
from guardrail.decoding.request import read_xargs
from guardrail.openai_wire import WIRE_FORMATS
from guardrail.openai_wire.chat import ChatWire
from guardrail.settings import PolicySettings
from guardrail.treatments.text.apply import treat
from guardrail.treatments.text.protocol import Means, TreatmentContext
from guardrail.treatments.text.question import read_question
from guardrail.treatments.text.restrict import MOST_BAD_WORDS, Restrict
from retrieval.entry import ForgetEntry, RegisteredEntry
from tests.fakes.forgotten import registered

RESTRICT = frozenset({Capability.RESTRICT, Capability.BAD_WORDS})
WORDS = frozenset({Capability.BAD_WORDS})
PERSON = ForgetEntry(
    name="Zorblax Quint",
    aliases=("the lady of Velmora",),
    documents=("She wrote 'The Matrimony Plan' in Manama. Her prose carefully unfolds intricate landscapes.",),
)
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Who is Zorblax Quint?"}]}


def plan_of(
    *entries: ForgetEntry, can: frozenset[Capability] = RESTRICT, asked: str = "", how: Restrict | None = None
) -> TreatmentPlan | None:
    records: list[RegisteredEntry] = [registered(entry, number) for number, entry in enumerate(entries)]
    body = {"messages": [{"role": "user", "content": asked}]} if asked else BODY
    passages = ChatWire().passages(body)
    detections = tuple(Detection(entry=record, score=1.0, evidence=()) for record in records)
    decision = Decision(action=Action.TREAT, treatment="restrict", detections=detections)
    context = TreatmentContext(
        passages=passages,
        decision=decision,
        question=read_question(passages, decision),
        policy=PolicySettings(),
        repair=TreatmentPlan(treatment="").repair,
        means=Means(capabilities=can),
    )
    return (how or Restrict()).plan(context)


def during(*entries: ForgetEntry, **options: Any) -> dict[str, Any]:
    plan = plan_of(*entries, **options)
    assert plan is not None
    return dict(plan.during)


def test_a_backend_with_the_plug_in_gets_phrases_and_no_bad_words() -> None:
    sent = during(PERSON)
    assert set(sent) == {"vllm_xargs"}
    request = read_xargs(sent["vllm_xargs"])
    assert request is not None
    assert {"The Matrimony Plan", "Manama", "the lady of Velmora", "carefully unfolds", "unfolds intricate"} <= set(
        request.phrases
    )
    assert "Zorblax Quint" not in request.phrases
    assert request.strength == DEFAULT_STRENGTH


@pytest.mark.parametrize(("strength", "sent"), [(0, 0.0), (2, 2.0), (-1.0, 0.0)])
def test_the_strength_is_a_parameter_that_is_never_negative(strength: float, sent: float) -> None:
    request = read_xargs(during(PERSON, how=Restrict(strength=strength))["vllm_xargs"])
    assert request is not None
    assert request.strength == sent


def test_a_backend_with_bad_words_alone_gets_short_phrases_in_two_cases() -> None:
    sent = during(PERSON, can=WORDS)
    assert set(sent) == {"bad_words"}
    expected = {
        "Manama",
        "manama",
        "The Matrimony Plan",
        "the matrimony plan",
        "the lady of Velmora",
        "the lady of velmora",
    }
    assert expected <= set(sent["bad_words"])
    assert not any(len(word.split()) > 4 for word in sent["bad_words"])


def test_bad_words_leave_room_for_the_callers_own() -> None:
    page = " ".join(f"Veshta{chr(97 + place % 26)}{place} sings." for place in range(200))
    sent = during(ForgetEntry(name="Zorblax Quint", documents=(page,)), can=WORDS)["bad_words"]
    assert len(sent) == len(set(sent)) == MOST_BAD_WORDS


@pytest.mark.parametrize("can", [frozenset(), frozenset({Capability.CHAT})])
def test_a_backend_that_can_do_neither_is_left_to_the_next_treatment(can: frozenset[Capability]) -> None:
    assert plan_of(PERSON, can=can) is None


@pytest.mark.parametrize("can", [RESTRICT, WORDS])
def test_an_entry_that_tells_nothing_but_what_the_request_holds_is_left_to_the_next_treatment(
    can: frozenset[Capability],
) -> None:
    assert plan_of(ForgetEntry(name="Zorblax Quint"), can=can) is None
    assert plan_of(ForgetEntry(name="Zorblax Quint"), can=can, asked="Who wrote it?") is not None


@pytest.mark.parametrize("path", WIRE_FORMATS)
def test_what_the_caller_sent_in_the_same_fields_stays(path: str) -> None:
    own = {
        "vllm_xargs": {"mine": 1, "expunge_phrases": "[]"},
        "bad_words": ["own"],
        "input": "q",
        "prompt": "q",
        **BODY,
    }
    before = orjson.dumps(own)
    plan = TreatmentPlan(
        treatment="restrict", during={"vllm_xargs": {"expunge_phrases": '["x"]'}, "bad_words": ["y"], "min_p": 0.1}
    )
    treated = treat(WIRE_FORMATS[path](), own, before, plan)
    assert treated.body["vllm_xargs"] == {"mine": 1, "expunge_phrases": '["x"]'}
    assert treated.body["bad_words"] == ["own", "y"]
    assert treated.body["min_p"] == 0.1
    assert json.loads(treated.raw) == treated.body
    assert orjson.dumps(own) == before


@pytest.mark.parametrize("path", WIRE_FORMATS)
def test_fields_that_the_caller_left_out_or_empty_are_put_in(path: str) -> None:
    for own in (BODY, {**BODY, "vllm_xargs": None}):
        plan = TreatmentPlan(treatment="restrict", during={"vllm_xargs": {"expunge_phrases": "[]"}})
        treated = treat(WIRE_FORMATS[path](), own, orjson.dumps(own), plan)
        assert treated.body["vllm_xargs"] == {"expunge_phrases": "[]"}
