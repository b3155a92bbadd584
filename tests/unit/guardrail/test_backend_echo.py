"""The echo backend's own features: scripts, tool calls, reasoning, logprobs, determinism, bad input."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
import pytest

from guardrail.backends.echo import Echo, Script
from guardrail.backends.protocol import BackendAnswer, BackendCall
from guardrail.settings import BackendSettings

CHAT = "/v1/chat/completions"


def made(script: Script | None = None) -> Echo:
    return Echo(BackendSettings(name="e", kind="echo"), script=script)


async def raw(backend: Echo, path: str = CHAT, **body: Any) -> tuple[BackendAnswer, bytes]:
    body = {"model": "echo", **body}
    answer = await backend.send(BackendCall(path=path, body=orjson.dumps(body)))
    return answer, b"".join([chunk async for chunk in answer.chunks()])


async def said(backend: Echo, text: str, **body: Any) -> Any:
    _, got = await raw(backend, messages=[{"role": "user", "content": text}], **body)
    return orjson.loads(got)


async def chunks(backend: Echo, text: str, **body: Any) -> list[Any]:
    _, got = await raw(backend, messages=[{"role": "user", "content": text}], stream=True, **body)
    lines = [line[6:] for line in got.split(b"\n\n") if line.startswith(b"data: {")]
    return [orjson.loads(line) for line in lines]


async def test_the_last_user_text_comes_back() -> None:
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "x"},
        {"role": "user", "content": [{"type": "text", "text": "sec"}, {"type": "text", "text": "ond"}]},
    ]
    _, got = await raw(made(), messages=messages)
    assert orjson.loads(got)["choices"][0]["message"]["content"] == "second"


async def test_equal_requests_get_equal_bytes_and_other_ones_another_id() -> None:
    first = await raw(made(), messages=[{"role": "user", "content": "a"}])
    second = await raw(made(), messages=[{"role": "user", "content": "a"}])
    other = await raw(made(), messages=[{"role": "user", "content": "b"}])
    assert first[1] == second[1]
    assert orjson.loads(first[1])["id"] != orjson.loads(other[1])["id"]


async def test_a_mapping_plays_a_model_that_knows_things() -> None:
    backend = made({"shining": "Stephen King wrote it."})
    known = await said(backend, "Who wrote The Shining?")
    unknown = await said(backend, "Hello")
    assert known["choices"][0]["message"]["content"] == "Stephen King wrote it."
    assert unknown["choices"][0]["message"]["content"] == "Hello"


async def test_a_callable_sees_the_whole_body_and_may_leave_it_to_echo() -> None:
    def script(body: Mapping[str, Any]) -> str | None:
        return "obeyed" if body["messages"][0]["role"] == "system" else None

    _, treated = await raw(
        made(script), messages=[{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    )
    assert orjson.loads(treated)["choices"][0]["message"]["content"] == "obeyed"
    assert (await said(made(script), "u"))["choices"][0]["message"]["content"] == "u"


async def test_chunk_size_and_choices_are_as_asked() -> None:
    got = await chunks(made(), "abcdefgh", n=2, echo_chunks=3)
    texts: dict[int, list[str]] = {0: [], 1: []}
    for chunk in got:
        for choice in chunk["choices"]:
            texts[choice["index"]] += [choice["delta"]["content"]] if choice["delta"].get("content") else []
    assert texts == {0: ["abc", "def", "gh"], 1: ["abc", "def", "gh"]}


async def test_max_tokens_cuts_with_finish_length() -> None:
    body = await said(made(), "abcdefgh", max_tokens=1)
    assert body["choices"][0]["message"]["content"] == "abcd"
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 1


async def test_a_tool_call_is_streamed_in_parts_that_join() -> None:
    text = 'call: get_weather {"city": "Paris"}\ncall: get_time'
    got = await chunks(made(), text)
    deltas = [choice["delta"] for chunk in got for choice in chunk["choices"]]
    calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert [call["function"]["name"] for call in calls if "name" in call["function"]] == ["get_weather", "get_time"]
    arguments = ["".join(c["function"]["arguments"] for c in calls if c["index"] == place) for place in (0, 1)]
    assert arguments == ['{"city": "Paris"}', "{}"]
    whole = await said(made(), text)
    assert [c["function"]["arguments"] for c in whole["choices"][0]["message"]["tool_calls"]] == arguments
    assert whole["choices"][0]["finish_reason"] == "tool_calls"
    assert whole["choices"][0]["message"]["content"] is None


async def test_reasoning_comes_first_and_in_its_own_field() -> None:
    whole = await said(made(), "answer", echo_reasoning="thinking")
    assert whole["choices"][0]["message"]["reasoning"] == "thinking"
    got = await chunks(made(), "answer", echo_reasoning="thinking")
    deltas = [choice["delta"] for chunk in got for choice in chunk["choices"]]
    order = ["r" if "reasoning" in delta else "c" for delta in deltas if delta.get("reasoning") or delta.get("content")]
    assert order == ["r", "r", "c", "c"]


async def test_logprobs_cover_the_content() -> None:
    whole = await said(made(), "abcdef", logprobs=True, top_logprobs=2)
    content = whole["choices"][0]["logprobs"]["content"]
    assert "".join(token["token"] for token in content) == "abcdef"
    assert [len(token["top_logprobs"]) for token in content] == [2, 2]


async def test_list_prompts_get_one_choice_each() -> None:
    _, got = await raw(made(), "/v1/completions", prompt=["one", "two"], n=2)
    choices = orjson.loads(got)["choices"]
    assert [(choice["index"], choice["text"]) for choice in choices] == [(0, "one"), (1, "one"), (2, "two"), (3, "two")]


async def test_responses_put_reasoning_text_and_calls_into_items() -> None:
    _, got = await raw(made(), "/v1/responses", input="hello", echo_reasoning="hm")
    assert [item["type"] for item in orjson.loads(got)["output"]] == ["reasoning", "message"]
    _, got = await raw(made(), "/v1/responses", input='call: f {"a":1}', stream=True)
    kinds = [orjson.loads(line[6:])["type"] for line in got.split(b"\n") if line.startswith(b"data: ")]
    assert "response.function_call_arguments.done" in kinds
    assert kinds[-1] == "response.completed"


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        (CHAT, {"messages": "no"}, 400, "messages"),
        (CHAT, {"messages": [], "model": "other"}, 404, "model"),
        (CHAT, {"messages": [], "n": 0}, 400, "n"),
        ("/v1/completions", {"prompt": [1]}, 400, "prompt"),
        ("/v1/audio/speech", {}, 404, None),
    ],
)
async def test_bad_input_is_answered_in_openai_shape(
    path: str, body: dict[str, Any], status: int, param: str | None
) -> None:
    answer, got = await raw(made(), path, **body)
    error = orjson.loads(got)["error"]
    assert (answer.status, error["param"]) == (status, param)
    assert set(error) == {"message", "type", "param", "code"}


async def test_a_closed_stream_says_no_more() -> None:
    body = {"model": "echo", "stream": True, "messages": [{"role": "user", "content": "abcdefgh"}]}
    answer = await made().send(BackendCall(path=CHAT, body=orjson.dumps(body)))
    reader: AsyncIterator[bytes] = answer.chunks()
    await anext(reader)
    await answer.aclose()
    assert [chunk async for chunk in reader] == []


async def test_a_delay_makes_the_whole_answer_wait() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await said(made(), "x", echo_delay_s=30)
