"""Every error has the four keys of OpenAI's error body, whoever raised it, and says what was wrong and what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.conftest import Start
from tests.integration.running import Running
from tests.integration.world import ENTRY, PATHS, QUESTION, SECRETS, body_of

ENDPOINT = pytest.mark.parametrize("endpoint", PATHS)
BROKEN = {
    "broken JSON": (b'{"model": "echo", ', 400, "invalid_json"),
    "not UTF-8": (b'{"model": "echo", "messages": "\xff"}', 400, "invalid_encoding"),
    "a list": (b"[1]", 400, "invalid_json"),
    "a string": (b'"hi"', 400, "invalid_json"),
    "nothing": (b"", 400, "invalid_json"),
    "not a number": (b'{"model": "echo", "temperature": NaN}', 400, "invalid_json"),
}


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("path", [*PATHS.values(), "/v1/embeddings"])
async def test_a_body_that_cannot_be_read_is_named(echo: Running, path: str, what: str) -> None:
    body, status, code = BROKEN[what]
    answer = await echo.raw(path, body, method="POST")
    assert (answer.status, answer.error["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/json"


async def test_an_unknown_route_is_not_found(echo: Running) -> None:
    for path in ("/", "/v2/chat/completions", "/metrics", "/v1", "/v1/forget/entries", "/readyz", "/v1/nothing"):
        answer = await echo.raw(path, {})
        assert (answer.status, answer.error["code"]) == (404, "not_found"), path


async def test_a_wrong_method_is_told_with_the_right_one(echo: Running) -> None:
    for path in (*PATHS.values(), "/v1/embeddings"):
        answer = await echo.raw(path, method="GET")
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
        assert "POST" in answer.error["message"]
    for path in ("/v1/models", "/healthz"):
        answer = await echo.raw(path, {}, method="POST")
        assert (answer.status, answer.headers["allow"]) == (405, "GET")
        assert answer.error["code"] == "method_not_allowed"


@ENDPOINT
async def test_an_unknown_model_is_told_with_those_that_are_served(echo: Running, endpoint: str) -> None:
    for entries in (0, 1):
        answer = await echo.raw(PATHS[endpoint], {**body_of(endpoint, "hi"), "model": "gpt-nine"})
        assert (answer.status, answer.error["code"], answer.error["param"]) == (404, "model_not_found", "model")
        assert "echo" in answer.error["message"]
        if not entries:
            await echo.forget(**ENTRY)


@ENDPOINT
@pytest.mark.parametrize("model", [7, "", ["echo"], {"a": 1}, True])
async def test_a_model_of_a_wrong_type_is_told(echo: Running, endpoint: str, model: object) -> None:
    answer = await echo.raw(PATHS[endpoint], {**body_of(endpoint, "hi"), "model": model})
    assert (answer.status, answer.error["param"]) == (400, "model")


@pytest.mark.parametrize(
    ("endpoint", "fields", "param"),
    [
        ("chat", {"messages": "hi"}, "messages"),
        ("chat", {"messages": []}, "messages"),
        ("chat", {"messages": ["hi"]}, "messages.0"),
        ("chat", {"messages": None}, "messages"),
        ("completions", {"prompt": {"a": 1}}, "prompt"),
        ("completions", {"prompt": [[1, 2]]}, "prompt"),
        ("completions", {"prompt": 7}, "prompt"),
        ("responses", {"input": 7}, "input"),
        ("responses", {"input": ["hi"]}, "input.0"),
    ],
)
async def test_a_field_of_a_wrong_type_is_named_while_it_must_be_read(
    echo: Running, endpoint: str, fields: dict[str, object], param: str
) -> None:
    await echo.forget(**ENTRY)
    answer = await echo.raw(PATHS[endpoint], {**body_of(endpoint, "hi"), **fields})
    assert (answer.status, answer.error["param"]) == (400, param)


@pytest.mark.parametrize(
    "fields",
    [
        {"n": "three"},
        {"n": 1.5},
        {"stream": "yes"},
        {"tools": "none"},
        {"tools": [7]},
        {"response_format": "json"},
        {"messages": [{"role": 7, "content": QUESTION}]},
        {"messages": [{"role": "user", "content": [7, None, {"type": "text", "text": QUESTION}]}]},
        {"messages": [{"role": "user", "content": {"text": QUESTION}}]},
        {"messages": [{"content": QUESTION}, {"role": "assistant", "tool_calls": "x"}]},
        {"metadata": {"deep": [[[[]]]]}},
    ],
    ids=str,
)
async def test_odd_fields_never_break_the_server(echo: Running, fields: dict[str, object]) -> None:
    """What the backend makes of them is its business; here they are read or told, never a 500."""
    await echo.forget(**ENTRY)
    for treatment in ("ignorance", "refusal", "redact"):
        await echo.admin("PATCH", "/v1/forget/entries/mira", {"treatment": treatment})
        answer = await echo.raw(PATHS["chat"], {**body_of("chat", QUESTION), **fields})
        assert answer.status in (200, 400), answer.raw
        if answer.status == 400:
            assert answer.error


async def test_a_body_over_the_limit_is_413_told_before_it_is_read(start: Start) -> None:
    proxy = await start(server={"max_body_bytes": 2048})
    for path in (*PATHS.values(), "/v1/embeddings", "/v1/files"):
        answer = await proxy.raw(path, b"x" * 4096)
        assert (answer.status, answer.error["code"]) == (413, "body_too_large")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b" " * 1024

    async with proxy.session.post(proxy.url + PATHS["chat"], data=pieces()) as told:
        assert told.status == 413, "without a declared length the bytes are counted"
    assert (await proxy.chat("hi")).status == 200


async def test_an_overloaded_backend_is_503_with_a_time_to_retry(start: Start) -> None:
    import asyncio

    proxy = await start(backend={"max_in_flight": 1})
    slow = asyncio.create_task(proxy.chat("hi", echo_delay_s=30))
    while True:
        answer = await proxy.chat("hi")
        if answer.status != 200:
            break
    assert (answer.status, answer.error["code"]) == (503, "overloaded")
    assert int(answer.headers["retry-after"]) >= 1
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)
    name = 'expunge_backend_errors_total{backend="echo",kind="overloaded"}'
    assert (await proxy.metrics())[name] >= 1


async def test_errors_never_repeat_what_was_sent(echo: Running) -> None:
    await echo.forget(**ENTRY)
    for body in (
        body_of("chat", QUESTION, echo=True),
        {**body_of("chat", QUESTION), "n": QUESTION},
        {"model": "echo", "messages": QUESTION},
    ):
        answer = await echo.raw(PATHS["chat"], body)
        assert answer.status == 400
        assert SECRETS[0].encode() not in answer.raw
