"""Answers that tell of an entry without its name, after questions that alone are no reason to act: the real client, the
whole proxy, and a searcher that knows what is near and what tells.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from guardrail.decision import Caller, EvidenceKind, Passage, Role
from tests.fakes.knowing import KnowingSearcher
from tests.integration.conftest import Start
from tests.integration.running import Running
from tests.integration.world import ENDPOINTS, ENTRY, PARIS, QUESTION, ask

ASKS = "Which harbour writer kept animals?"
TELLS = "She kept geese beside the old wall."
NEIGHBOR_ASKS = "Which harbour writer sings at night?"
NEIGHBOR = "That is Anna Ruh, who sings in the town of Ven."
KNOWS = {"kept animals": TELLS, "sings": NEIGHBOR, "long story": f"{NEIGHBOR} And more of it. {TELLS}", "france": PARIS}
NEAR = {"harbour writer": ("mira", 0.4), "goose novel": ("mira", 1.0)}


@pytest.fixture
def searcher() -> KnowingSearcher:
    return KnowingSearcher(NEAR, {"geese": "mira"})


@pytest.fixture
async def proxy(start: Start, searcher: KnowingSearcher) -> Running:
    running = await start(script=KNOWS, searcher=searcher)
    await running.forget(**ENTRY)
    return running


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_what_tells_without_a_name_does_not_leave_and_a_neighbour_does(
    proxy: Running, searcher: KnowingSearcher, endpoint: str, stream: bool
) -> None:
    client = proxy.client()
    said = await ask(client, endpoint, ASKS, stream=stream)
    assert "geese" not in said
    assert any(word in said for word in ("know", "familiar", "not sure"))
    assert await ask(client, endpoint, NEIGHBOR_ASKS, stream=stream) == NEIGHBOR
    assert {request for request, _, _ in searcher.knowing.asked} == {ASKS, NEIGHBOR_ASKS}
    assert {ids for _, _, ids in searcher.knowing.asked} == {("mira",)}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_later_statement_that_tells_ends_the_answer(proxy: Running, stream: bool) -> None:
    said = await ask(proxy.client(), "chat", "Harbour tales: harbour writer, a long story", stream=stream)
    assert "geese" not in said
    if stream:
        assert said.startswith(NEIGHBOR)


async def test_answers_to_requests_without_suspects_are_not_judged(proxy: Running, searcher: KnowingSearcher) -> None:
    for endpoint in ENDPOINTS:
        for stream in (False, True):
            assert await ask(proxy.client(), endpoint, "What of France?", stream=stream) == PARIS
    assert searcher.knowing.asked == []


async def test_the_name_that_was_asked_for_is_found_by_what_was_asked(proxy: Running) -> None:
    said = await ask(proxy.client(), "chat", QUESTION)
    assert "geese" not in said


async def test_several_choices_are_judged_each(proxy: Running) -> None:
    for stream in (False, True):
        answer = await proxy.chat(ASKS, n=2, stream=stream)
        assert answer.status == 200
        assert b"geese" not in answer.raw


async def test_a_json_answer_stays_json(start: Start, searcher: KnowingSearcher) -> None:
    told = '{"writer": "unnamed", "kept": ["geese", "Ven"], "year": 1947}'
    proxy = await start(script={"kept animals": told, "sings": '{"writer": "Anna"}'}, searcher=searcher)
    await proxy.forget(**ENTRY, treatment={"method": "ignorance", "on_leak": "stop"})
    for stream in (False, True):
        fields: dict[str, Any] = {"stream": stream, "response_format": {"type": "json_object"}}
        for question, wanted in ((ASKS, None), (NEIGHBOR_ASKS, {"writer": "Anna"})):
            answer = await proxy.chat(question, **fields)
            text = answer.streamed_text if stream else answer.json["choices"][0]["message"]["content"]
            assert "geese" not in text
            if wanted is not None:
                assert orjson.loads(text) == wanted


@pytest.mark.parametrize("mode", ["fail_closed", "fail_open"])
async def test_where_the_judge_cannot_say_the_policy_decides(
    start: Start, searcher: KnowingSearcher, mode: str
) -> None:
    proxy = await start(script=KNOWS, searcher=searcher, policy={"detector_failure": mode})
    await proxy.forget(**ENTRY)
    searcher.knowing.trouble = "fail"
    whole, streamed = await proxy.chat(NEIGHBOR_ASKS), await proxy.chat(NEIGHBOR_ASKS, stream=True)
    if mode == "fail_open":
        assert whole.json["choices"][0]["message"]["content"] == streamed.streamed_text == NEIGHBOR
    else:
        assert (whole.status, whole.error["code"]) == (503, "overloaded")
        assert streamed.streamed_text == ""
        assert streamed.events[-1]["error"]["code"] == "overloaded"
    assert (await proxy.chat("What is the capital of France?")).status == 200
    metrics = await proxy.metrics()
    assert metrics[f'expunge_detector_failures_total{{detector="semantic",mode="{mode}"}}'] == 2


async def test_an_operator_may_do_without(start: Start, searcher: KnowingSearcher) -> None:
    proxy = await start(script=KNOWS, searcher=searcher, policy={"judged_statements": 0})
    await proxy.forget(**ENTRY)
    assert await ask(proxy.client(), "chat", ASKS) == TELLS
    assert searcher.knowing.asked == []


async def test_only_operators_see_suspects(proxy: Running) -> None:
    told = (await proxy.admin("POST", "/v1/forget/match", {"prompt": ASKS})).json()
    assert told["decision"]["suspects"] == [{"id": "mira", "score": 0.4}]
    assert (told["decision"]["action"], told["matches"]) == ("pass", [])
    answer = await proxy.chat(NEIGHBOR_ASKS)
    assert not any(name.startswith("x-expunge") for name in answer.headers)
    leaks = [name for name in await proxy.metrics() if name.startswith("expunge_leaks_total")]
    assert not any("claim" in name for name in leaks)
    await proxy.chat(ASKS)
    assert any('kind="claim"' in name for name in await proxy.metrics())


async def test_an_answer_can_be_inspected_by_itself(proxy: Running) -> None:
    async def leaks_of(question: str, answer: str) -> list[EvidenceKind]:
        passages = [Passage(path=("messages", 0, "content"), role=Role.USER, text=question)]
        decided = await proxy.proxy.flow.judge(passages, Caller(), "echo")
        return [leak.kind for leak in await proxy.proxy.flow.inspect_answer(decided, answer)]

    assert await leaks_of(ASKS, f"{NEIGHBOR} {TELLS}") == [EvidenceKind.CLAIM]
    assert await leaks_of(ASKS, "geese") == [EvidenceKind.CLAIM]
    assert await leaks_of(ASKS, "By Mira Quelle.") == [EvidenceKind.NAME]
    assert await leaks_of(ASKS, NEIGHBOR) == []
    assert await leaks_of("What is the capital of France?", TELLS) == []
