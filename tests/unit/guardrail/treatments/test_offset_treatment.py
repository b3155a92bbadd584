"""`offset`: what it asks of the backend, alone and beside other treatments, and where it gives way."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from guardrail.decision import Action, Capability, Decision, Detection, Evidence, EvidenceKind, TreatmentPlan
from guardrail.decoding.request import read_offset, read_xargs
from guardrail.openai_wire.chat import ChatWire
from guardrail.policy import next_rung, strictest
from guardrail.settings import PolicySettings
from guardrail.treatments.text.apply import plan_for, treat
from guardrail.treatments.text.protocol import Means
from retrieval.entry import ForgetEntry, TreatmentChoice
from tests.fakes.forgotten import registered

NAME = "Zorblax Quint"
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": f"Who is {NAME}?"}]}
ALL = frozenset(Capability)


def plan_of(method: str, can: frozenset[Capability] = ALL, **parameters: Any) -> TreatmentPlan:
    passages = ChatWire().passages(BODY)
    choice = TreatmentChoice.model_validate({"method": method, **parameters})
    start = passages[0].text.index(NAME)
    named = Evidence(
        detector="lexical", kind=EvidenceKind.NAME, score=1.0, passage=0, start=start, end=start + len(NAME)
    )
    entry = registered(ForgetEntry(name=NAME, aliases=("the lady of Velmora",), treatment=choice))
    detections = (Detection(entry=entry, score=1.0, evidence=(named,)),)
    decision = Decision(action=Action.TREAT, treatment=method, detections=detections)
    return plan_for(passages, decision, PolicySettings(), means=Means(capabilities=can, naming_key=b"a key"))


def sent(plan: TreatmentPlan, **own: Any) -> dict[str, Any]:
    body = {**BODY, **own}
    return dict(treat(ChatWire(), body, orjson.dumps(body), plan).body)


def test_it_asks_for_an_offset_and_leaves_the_prompt_as_it_is() -> None:
    plan = plan_of("offset")
    body = sent(plan)
    assert body == {**BODY, "vllm_xargs": {"expunge_offset": 0.5}}
    assert (plan.treatment, plan.answer, plan.instruction) == ("offset", None, None)


@pytest.mark.parametrize(("beta", "expected"), [(0.5, 0.5), (2, 2.0), (-1.0, 0.0)])
def test_an_entry_may_set_how_much_is_taken_off_but_never_less_than_nothing(beta: float, expected: float) -> None:
    arguments = json.loads(json.dumps(sent(plan_of("offset", beta=beta))["vllm_xargs"]))
    assert read_offset(arguments) == expected


def test_phrases_and_offset_go_together() -> None:
    arguments = sent(plan_of("restrict+offset"), vllm_xargs={"mine": 1})["vllm_xargs"]
    assert arguments["mine"] == 1
    assert read_offset(arguments) == 0.5
    request = read_xargs(arguments)
    assert request is not None
    assert "the lady of Velmora" in request.phrases


def test_an_invented_name_and_an_offset_go_together() -> None:
    body = sent(plan_of("stand_in+offset"))
    assert NAME not in body["messages"][0]["content"]
    assert read_offset(body["vllm_xargs"]) == 0.5


@pytest.mark.parametrize("method", ["offset", "offset+restrict"])
def test_without_an_assistant_and_after_a_leak_the_ladder_goes_on(method: str) -> None:
    assert plan_of(method, ALL - {Capability.OFFSET}).treatment == "ignorance"
    assert next_rung(method) == "ignorance"


@pytest.mark.parametrize("first", ["stand_in", "restrict"])
def test_behind_another_treatment_it_is_left_out_where_there_is_no_assistant(first: str) -> None:
    plan = plan_of(f"{first}+offset", ALL - {Capability.OFFSET})
    assert plan.treatment == first
    assert "expunge_offset" not in plan.during.get("vllm_xargs", {})


def test_it_is_stricter_than_a_corrupted_prompt_and_milder_than_an_invented_name() -> None:
    assert strictest(["eco", "offset"]) == "offset"
    assert strictest(["offset", "stand_in"]) == "stand_in"
