"""The dry run says what the ladder makes of a decision on the backend of the model, and serving does the same."""

from __future__ import annotations

from typing import Any

import pytest

from guardrail.decision import TreatmentPlan
from tests.integration.conftest import Start
from tests.integration.running import Running, echo_backend
from tests.integration.world import ENTRY, KNOWS, LEAK, NAME, OTHER_ENTRY, QUESTION, WORK


async def dry_run(proxy: Running, text: str = QUESTION, **fields: Any) -> dict[str, Any]:
    answer = await proxy.admin("POST", "/v1/forget/match", {"messages": [{"role": "user", "content": text}], **fields})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def treatments_that_serve(proxy: Running) -> list[str]:
    """Ask, and tell the treatments of all plans that were made for it."""
    flow = proxy.proxy.flow
    planner = flow._planner
    served: list[str] = []

    class Watching:
        def plan(self, *given: Any) -> TreatmentPlan:
            made = planner.plan(*given)
            served.append(made.treatment)
            return made

        def __getattr__(self, name: str) -> Any:
            return getattr(planner, name)

    flow._planner = Watching()  # type: ignore[assignment]  # it stands in for the planner and passes all on
    await proxy.chat(QUESTION)
    return served


async def test_a_treatment_that_the_backend_cannot_do_is_passed_over_and_what_is_missing_is_said(start: Start) -> None:
    proxy = await start()
    await proxy.forget(**ENTRY, treatment="eco")
    told = await dry_run(proxy, model="echo")
    assert told["decision"]["treatment"] == "eco"
    assert told["plan"] == {
        "backend": "echo",
        "treatment": "ignorance",
        "asks_backend": True,
        "on_leak": "rewrite",
        "passed_over": [{"treatment": "eco", "why": "backend", "needs_any_of": ["prompt_embeds"]}],
        "left_out": [],
        "after_leak": [],
    }


async def test_a_treatment_that_has_nothing_to_work_on_is_passed_over_whatever_the_backend_can(start: Start) -> None:
    proxy = await start()
    await proxy.forget(**ENTRY, treatment="eco")
    (passed,) = (await dry_run(proxy, f"Which writer wrote {WORK}?"))["plan"]["passed_over"]
    assert passed == {"treatment": "eco", "why": "request", "needs_any_of": []}


async def test_what_a_list_does_without_is_said_and_the_rungs_that_follow_are_those_that_leaks_lead_to(
    start: Start,
) -> None:
    proxy = await start(script=lambda _body: LEAK)
    await proxy.forget(**ENTRY, treatment="stand_in+restrict")
    plan = (await dry_run(proxy))["plan"]
    assert plan["treatment"] == "stand_in"
    assert plan["left_out"] == [{"treatment": "restrict", "why": "backend", "needs_any_of": ["restrict", "bad_words"]}]
    served = await treatments_that_serve(proxy)
    assert served == [plan["treatment"], *plan["after_leak"]]
    assert len(served) > 1


async def test_nothing_follows_a_leak_where_the_answer_cannot_be_begun_anew(start: Start) -> None:
    proxy = await start()
    await proxy.forget(**ENTRY, treatment={"method": "stand_in", "on_leak": "stop"})
    assert (await dry_run(proxy))["plan"]["after_leak"] == []
    await proxy.forget(**OTHER_ENTRY, treatment="stand_in")
    asked = f"Who is {OTHER_ENTRY['name']}?"
    assert (await dry_run(proxy, asked))["plan"]["after_leak"] != []
    assert (await dry_run(proxy, asked, n=2))["plan"]["after_leak"] == []


async def test_of_several_entries_each_ones_own_treatment_is_told_and_the_strictest_is_used(start: Start) -> None:
    proxy = await start(policy={"treatments_by_kind": {"person": "redact"}})
    await proxy.forget(**ENTRY)
    await proxy.forget(**OTHER_ENTRY, treatment="refusal")
    await proxy.forget(id="third", name="Ovid Lantermann", substitute="He is a baker.")
    told = await dry_run(proxy, f"Who are {NAME}, {OTHER_ENTRY['name']} and Ovid Lantermann?")
    assert told["decision"]["entry_treatments"] == [
        {"id": "mira", "treatment": "redact", "from": "kind"},
        {"id": "other", "treatment": "refusal", "from": "entry"},
        {"id": "third", "treatment": "substitute", "from": "substitute"},
    ]
    assert told["decision"]["treatment"] == told["plan"]["treatment"] == "refusal"
    assert told["plan"]["asks_backend"] is False


@pytest.mark.parametrize("wanted", ["refuse", "redact"])
async def test_what_is_handed_in_is_told_to_be_treated_for_that(start: Start, wanted: str) -> None:
    proxy = await start()
    await proxy.forget(**ENTRY, supplied_context=wanted)
    messages = [
        {"role": "user", "content": "Sum it up."},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "tool_call_id": "1", "content": f"{NAME} wrote {WORK}."},
    ]
    (own,) = (await dry_run(proxy, messages=messages))["decision"]["entry_treatments"]
    expected = {"refuse": "refusal", "redact": "redact"}[wanted]
    assert own == {"id": "mira", "treatment": expected, "from": "supplied_context"}


async def test_a_request_that_touches_nothing_has_no_treatment_and_an_unserved_model_no_plan(start: Start) -> None:
    proxy = await start(backends=[echo_backend(KNOWS, models={"small": "echo"})])
    await proxy.forget(**ENTRY)
    plan = (await dry_run(proxy, "What is the capital of France?", model="small"))["plan"]
    assert (plan["treatment"], plan["asks_backend"], plan["after_leak"]) == (None, True, [])
    told = await dry_run(proxy, model="large")
    assert told["plan"] is None
    assert "small" in told["plan_error"]
    assert told["decision"]["treatment"] == "ignorance"


@pytest.mark.parametrize("treatment", ["ignorance", "stand_in", "eco", "icul", "memory", "restrict", "redact", "auto"])
async def test_the_treatment_that_is_foreseen_is_the_one_that_serves(start: Start, treatment: str) -> None:
    proxy = await start()
    await proxy.forget(**ENTRY, treatment=treatment)
    foreseen = (await dry_run(proxy, model="echo"))["plan"]["treatment"]
    assert (await treatments_that_serve(proxy))[0] == foreseen


async def test_what_cannot_be_looked_at_is_refused_as_it_is_when_asked(start: Start) -> None:
    proxy = await start()
    await proxy.forget(**ENTRY)
    body = {"messages": [{"role": "user", "content": [{"type": "prompt_embeds", "data": "AAAA"}]}]}
    told = await proxy.admin("POST", "/v1/forget/match", body)
    asked = await proxy.chat(**body)
    assert told.status_code == asked.status == 400
    assert "prompt embeddings" in told.json()["error"]["message"]
