"""The real OpenAI client against the running proxy: every endpoint, streamed and not, treated and not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.conftest import Start
from tests.integration.running import Running
from tests.integration.world import (
    ENDPOINTS,
    ENTRY,
    LEAK,
    OTHER_ENTRY,
    PARIS,
    PATHS,
    QUESTION,
    SECRETS,
    ask,
    assert_clean,
    body_of,
)

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
ENDPOINT = pytest.mark.parametrize("endpoint", ENDPOINTS)
TREATMENTS: dict[str, dict[str, Any]] = {
    "default": {},
    "ignorance that stops": {"treatment": {"method": "ignorance", "on_leak": "stop"}},
    "ignorance that redacts": {"treatment": {"method": "ignorance", "on_leak": "redact"}},
    "ignorance by sentence": {"treatment": {"method": "ignorance", "holdback": "sentence"}},
    "redact": {"treatment": "redact"},
    "substitute": {"treatment": "substitute", "substitute": "Nobody by that name is on record."},
    "refusal": {"treatment": "refusal"},
    "refusal as text": {"treatment": {"method": "refusal", "style": "text"}},
}


@STREAM
@ENDPOINT
@pytest.mark.parametrize("entries", [[], [OTHER_ENTRY]], ids=["nothing to forget", "unrelated entries"])
async def test_what_is_not_forgotten_is_answered(
    echo: Running, endpoint: str, stream: bool, entries: list[dict[str, Any]]
) -> None:
    for entry in entries:
        await echo.forget(**entry)
    assert await ask(echo.client(), endpoint, QUESTION, stream=stream) == LEAK


@pytest.mark.parametrize("treatment", TREATMENTS)
async def test_what_is_forgotten_does_not_come_out(echo: Running, treatment: str) -> None:
    """The model knows and obeys nobody; every endpoint, streamed in pieces of several sizes and whole."""
    await echo.forget(**{**ENTRY, **TREATMENTS[treatment]})
    client = echo.client()
    for endpoint in ENDPOINTS:
        for stream in (False, True):
            said = await ask(client, endpoint, QUESTION, stream=stream)
            assert said.strip(), (endpoint, stream)
            assert_clean(said)
            for size in (1, 3, 200):
                body = body_of(endpoint, QUESTION, stream=stream, echo_chunks=size)
                assert_clean((await echo.raw(PATHS[endpoint], body)).raw)
            # The entry is met by what the model says alone, too: nothing of it stands in the question.
            assert_clean(await ask(client, endpoint, "What is that salty novel?", stream=stream))
            assert PARIS in await ask(client, endpoint, "What is the capital of France?", stream=stream)


@pytest.mark.parametrize("style", ["message", "text", "error"])
@ENDPOINT
async def test_an_open_refusal_has_the_form_that_the_policy_wants(start: Start, style: str, endpoint: str) -> None:
    proxy = await start(policy={"refusal_style": style, "refusal_text": "Not here."})
    await proxy.forget(**{**ENTRY, "treatment": "refusal"})
    for stream in (False, True):
        answer = await proxy.raw(PATHS[endpoint], body_of(endpoint, QUESTION, stream=stream))
        if style == "error":
            assert (answer.status, answer.headers["x-should-retry"]) == (400, "false")
            assert answer.error["code"] == "content_policy_violation"
            continue
        assert answer.status == 200
        is_sse = answer.headers["content-type"].startswith("text/event-stream")
        assert is_sse is stream, "a blocked stream answers as a stream"
        assert await ask(proxy.client(), endpoint, QUESTION, stream=stream) == "Not here."
    if style == "message" and endpoint == "chat":
        answer = await proxy.client().chat.completions.create(**body_of("chat", QUESTION))
        assert (answer.choices[0].message.refusal, answer.choices[0].message.content) == ("Not here.", None)
        assert answer.choices[0].finish_reason == "stop"


@STREAM
@ENDPOINT
async def test_a_policy_block_is_not_retried_by_the_client(start: Start, endpoint: str, stream: bool) -> None:
    from openai import BadRequestError

    proxy = await start(policy={"refusal_style": "error"})
    await proxy.forget(**{**ENTRY, "treatment": "refusal"})
    client = proxy.client(max_retries=2)
    with pytest.raises(BadRequestError) as caught:
        await ask(client, endpoint, QUESTION, stream=stream)
    assert caught.value.code == "content_policy_violation"
    label = {"chat": "chat_completions"}.get(endpoint, endpoint)
    counted = (await proxy.metrics())[f'expunge_requests_total{{endpoint="{label}",status="400"}}']
    assert counted == 1


@STREAM
@pytest.mark.parametrize("asked", [QUESTION, "What is the capital of France?"], ids=["treated", "untouched"])
async def test_every_choice_of_n_is_there_and_clean(echo: Running, stream: bool, asked: str) -> None:
    await echo.forget(**ENTRY)
    for endpoint in ("chat", "completions"):
        body = body_of(endpoint, asked, n=3, stream=stream)
        answer = await echo.raw(PATHS[endpoint], body)
        assert_clean(answer.raw)
        values = answer.events if stream else [answer.json]
        choices = [choice for value in values for choice in value["choices"]]
        texts = {0: "", 1: "", 2: ""}
        for choice in choices:
            part = choice.get("delta") or choice.get("message") or choice
            texts[choice["index"]] += part.get("content") or part.get("text") or ""
        assert all(texts.values()), texts
        assert sorted(c["index"] for c in choices if c["finish_reason"]) == [0, 1, 2]
        if asked != QUESTION:
            assert set(texts.values()) == {PARIS}


@STREAM
async def test_each_prompt_of_a_list_has_its_own_answer(echo: Running, stream: bool) -> None:
    await echo.forget(**ENTRY)
    prompts = ["What is the capital of France?", QUESTION, "Say only this."]
    answer = await echo.raw("/v1/completions", {"model": "echo", "prompt": prompts, "stream": stream})
    assert_clean(answer.raw)
    texts = {0: "", 1: "", 2: ""}
    for value in answer.events if stream else [answer.json]:
        for choice in value["choices"]:
            texts[choice["index"]] += choice["text"]
    assert (texts[0], texts[2]) == (PARIS, "Say only this.")
    assert texts[1].strip()


async def test_tool_calls_pass_and_what_leaks_in_their_arguments_is_cut_out_of_valid_json(echo: Running) -> None:
    await echo.forget(**ENTRY)
    tools: Any = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]
    client = echo.client()
    for said, clean in (("Paris", True), (SECRETS[2], False)):
        messages: Any = [{"role": "user", "content": f'call: look_up {{"title": "{said}", "n": 3}}'}]
        whole = await client.chat.completions.create(model="echo", messages=messages, tools=tools)
        stream = await client.chat.completions.create(model="echo", messages=messages, tools=tools, stream=True)
        pieces = [call async for chunk in stream for choice in chunk.choices for call in choice.delta.tool_calls or ()]
        streamed = "".join(piece.function.arguments or "" for piece in pieces if piece.function)
        called: Any = whole.choices[0].message.tool_calls
        if clean:
            assert pieces[0].function
            assert pieces[0].function.name == "look_up"
            assert called[0].function.arguments == streamed == '{"title": "Paris", "n": 3}'
            continue
        assert_clean(streamed, whole.model_dump_json())
        for arguments in [streamed, *(one.function.arguments for one in called or ())]:
            if arguments:
                import json

                assert isinstance(json.loads(arguments), dict)


@STREAM
async def test_logprobs_pass_untouched_and_do_not_spell_what_was_taken_out(echo: Running, stream: bool) -> None:
    await echo.forget(**ENTRY)
    for asked in ("What is the capital of France?", QUESTION):
        body = body_of("chat", asked, logprobs=True, top_logprobs=2, stream=stream, echo_chunks=2)
        answer = await echo.raw(PATHS["chat"], body)
        values = answer.events if stream else [answer.json]
        rows = [row for v in values for c in v["choices"] for row in ((c.get("logprobs") or {}).get("content") or ())]
        spelt = "".join(row["token"] for row in rows)
        if asked == QUESTION:
            assert_clean(spelt, answer.raw)
        else:
            assert spelt == PARIS


async def test_a_json_answer_stays_json_when_something_is_taken_out(start: Start) -> None:
    import json

    knows = {"json": json.dumps({"author": SECRETS[0], "works": [SECRETS[2]], "year": 1923})}
    proxy = await start(script=knows)
    await proxy.forget(**{**ENTRY, "treatment": {"method": "redact"}})
    for stream in (False, True):
        said = await ask(
            proxy.client(), "chat", "as json, please", stream=stream, response_format={"type": "json_object"}
        )
        assert_clean(said)
        assert json.loads(said)["year"] == 1923


@pytest.mark.parametrize("asked", [QUESTION, "What is the capital of France?"], ids=["treated", "untouched"])
async def test_the_usage_chunk_is_the_last_before_the_end(echo: Running, asked: str) -> None:
    await echo.forget(**ENTRY)
    for endpoint in ("chat", "completions"):
        body = body_of(endpoint, asked, stream=True, stream_options={"include_usage": True})
        answer = await echo.raw(PATHS[endpoint], body)
        assert answer.raw.endswith(b"data: [DONE]\n\n")
        *others, last = answer.events
        assert last["choices"] == []
        assert last["usage"]["total_tokens"] == last["usage"]["prompt_tokens"] + last["usage"]["completion_tokens"]
        assert all(event.get("usage") is None and event["choices"] for event in others)
        assert {event["id"] for event in (*others, last)} == {last["id"]}


@STREAM
async def test_reasoning_is_inspected_like_the_answer(echo: Running, stream: bool) -> None:
    await echo.forget(**ENTRY)
    body = body_of("chat", "What is the capital of France?", stream=stream, echo_reasoning=f"Not {SECRETS[2]} then.")
    answer = await echo.raw(PATHS["chat"], body)
    assert_clean(answer.raw)
    text = answer.streamed_text if stream else answer.json["choices"][0]["message"]["content"]
    assert text.strip()


@STREAM
async def test_a_request_id_comes_back_and_one_is_made_otherwise(echo: Running, stream: bool) -> None:
    body = body_of("chat", "hi", stream=stream)
    given = await echo.raw(PATHS["chat"], body, headers={"x-request-id": "mine-7"})
    assert given.headers["x-request-id"] == "mine-7"
    made = await echo.raw(PATHS["chat"], body)
    assert made.headers["x-request-id"].startswith("req_")
    odd = await echo.raw(PATHS["chat"], body, headers={"x-request-id": "x" * 500})
    assert odd.headers["x-request-id"].startswith("req_")
    error = await echo.raw("/nowhere", {})
    assert error.headers["x-request-id"]
