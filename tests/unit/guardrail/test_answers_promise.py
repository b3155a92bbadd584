"""The promise of inspected whole answers, for any text, repair and endpoint: nothing forbidden, all else as it was."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.decision import OnLeak
from guardrail.streaming.answers import inspect_answer
from guardrail.streaming.delivery import Attempt, deliver_whole
from tests.fakes.forgotten import leaks_in, plan_of
from tests.fakes.leaky_texts import FEW, LEAKY, cut
from tests.fakes.wire_streams import ScriptedAnswer, recut


@pytest.mark.parametrize("endpoint", ["chat", "completions", "responses"])
@pytest.mark.parametrize("on_leak", list(OnLeak))
@FEW
@given(data=st.data())
def test_whole_answers_hold_nothing_forbidden(endpoint: str, on_leak: OnLeak, data: st.DataObject) -> None:
    words = {index: data.draw(LEAKY) for index in range(2)}
    answer = orjson.loads(orjson.dumps(whole_answer(endpoint, words)))
    result = inspect_answer(plan_of(endpoint, on_leak, body={"n": 2}), answer)
    assert not result.restart
    text = json.dumps(result.body, ensure_ascii=False)
    assert not any(leaks_in(part) for part in spoken(result.body)), text
    for index, given_text in words.items():
        if not leaks_in(given_text) and endpoint != "responses":
            choice = result.body["choices"][index]
            assert (choice["text"] if endpoint == "completions" else choice["message"]["content"]) == given_text
    if not any(map(leaks_in, words.values())):
        assert not result.changed


def whole_answer(endpoint: str, words: dict[int, str]) -> dict[str, Any]:
    """An answer with one text for each choice, as the endpoint shapes it; chat carries reasoning and logprobs too."""
    if endpoint == "responses":
        items = [
            {
                "type": "message",
                "id": f"i{index}",
                "role": "assistant",
                "content": [{"type": "output_text", "text": text}],
            }
            for index, text in words.items()
        ]
        return {"id": "r", "object": "response", "output": items}
    choices: list[dict[str, Any]] = []
    for index, text in words.items():
        tokens = [{"token": part, "bytes": list(part.encode()), "top_logprobs": []} for part in cut(text, [5])]
        message = {"role": "assistant", "content": text, "reasoning": text[::-1] + " " + text}
        one: dict[str, Any] = {"message": message, "logprobs": {"content": tokens}}
        if endpoint == "completions":
            one = {
                "text": text,
                "logprobs": {"tokens": cut(text, [5]), "top_logprobs": [{part: -1} for part in cut(text, [5])]},
            }
        choices.append({"index": index, "finish_reason": "stop", **one})
    return {"id": "c", "object": "x", "choices": choices}


def spoken(value: Any) -> list[str]:
    """Every string of an answer, and the rows of token details put together."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        if _is_rows(value.get("content")):
            return ["".join(token["token"] for token in value["content"])]
        if "tokens" in value:
            return ["".join(value["tokens"]), "".join(key for row in value["top_logprobs"] for key in row)]
        return [text for key, item in value.items() for text in (str(key), *spoken(item))]
    return [text for item in value for text in spoken(item)] if isinstance(value, list) else []


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and "token" in value[0]


@FEW
@given(text=LEAKY, second=LEAKY)
def test_a_whole_answer_may_be_begun_anew_and_is_clean_then(text: str, second: str) -> None:
    async def retry() -> Attempt:
        body = orjson.dumps(whole_answer("chat", {0: second}))
        return Attempt(plan=plan_of("chat", OnLeak.REWRITE), answer=ScriptedAnswer([body]))

    first = orjson.dumps(whole_answer("chat", {0: text}))
    plan = plan_of("chat", OnLeak.REWRITE, may_restart=True)
    attempt = Attempt(plan=plan, answer=ScriptedAnswer(recut(first, [7])))
    raw, _ = asyncio.run(deliver_whole(attempt, retry, max_bytes=1 << 20))
    assert not any(map(leaks_in, spoken(orjson.loads(raw))))
    if not any(map(leaks_in, spoken(orjson.loads(first)))):
        assert raw == first
