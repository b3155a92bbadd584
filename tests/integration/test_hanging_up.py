"""Callers who hang up, backends that are down, slow, silent or break off: each ends cleanly, with nothing left running."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from guardrail.backends.protocol import Backend
from tests.fakes.openai_server import Behaviour, FakeOpenAIServer
from tests.fakes.waiting import until
from tests.integration.running import Running, running, server_backend, settings_for
from tests.integration.world import ENTRY, PATHS, QUESTION, body_of

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
ENTRIES = pytest.mark.parametrize("forgets", [False, True], ids=["untouched", "treated"])


async def is_idle(backend: Backend) -> bool:
    return not (await backend.health()).facts["in_flight"]


def fake_body(endpoint: str, **fields: Any) -> dict[str, Any]:
    return {**body_of(endpoint, QUESTION, **fields), "model": "fake-model"}


@ENTRIES
@STREAM
@pytest.mark.parametrize("endpoint", PATHS)
async def test_a_caller_who_hangs_up_cancels_the_backends_call(
    relay: Running, upstream: FakeOpenAIServer, endpoint: str, stream: bool, forgets: bool
) -> None:
    if forgets:
        await relay.forget(**ENTRY)
    upstream.behave(delay_s=0 if stream else 60, chunk_delay_s=60 if stream else 0)
    async with aiohttp.ClientSession() as session:
        body = fake_body(endpoint, stream=stream)
        call = asyncio.create_task(session.post(relay.url + PATHS[endpoint], json=body))
        await upstream.until_called()
        if stream:
            (await call).close()
        else:
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
    await upstream.until_idle()
    assert upstream.cancelled == 1
    label = {"chat": "chat_completions"}.get(endpoint, endpoint)

    async def is_counted() -> bool:
        return f'expunge_client_disconnects_total{{endpoint="{label}"}}' in await relay.metrics()

    await until(is_counted)
    assert (await relay.metrics())["expunge_requests_in_flight"] == 0


async def test_hanging_up_frees_the_backends_place(upstream: FakeOpenAIServer, tmp_path: Path) -> None:
    upstream.behave(chunk_delay_s=60)
    backend = server_backend(upstream.url, max_in_flight=1)
    async with running(settings_for(tmp_path / "data"), [backend]) as proxy:
        for _ in range(3):
            async with proxy.session.post(proxy.url + PATHS["chat"], json=fake_body("chat", stream=True)) as answer:
                assert answer.status == 200
                answer.close()
            await upstream.until_idle()
            await until(lambda: is_idle(backend[1]))


@ENTRIES
@STREAM
async def test_a_backend_that_is_down_is_502(tmp_path: Path, stream: bool, forgets: bool) -> None:
    async with FakeOpenAIServer() as gone:
        url = gone.url
    backend = server_backend(url, models={"fake-model": "fake-model"})
    async with running(settings_for(tmp_path / "data"), [backend]) as proxy:
        if forgets:
            await proxy.forget(**ENTRY)
        for endpoint, path in PATHS.items():
            answer = await proxy.raw(path, fake_body(endpoint, stream=stream))
            assert (answer.status, answer.error["code"]) == (502, "backend_unavailable")
        name = 'expunge_backend_errors_total{backend="upstream",kind="unavailable"}'
        assert (await proxy.metrics())[name] == len(PATHS)
        ready = await proxy.admin("GET", "/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (503, False)


@ENTRIES
@STREAM
async def test_a_backend_that_is_too_slow_is_504(
    upstream: FakeOpenAIServer, tmp_path: Path, stream: bool, forgets: bool
) -> None:
    backend = server_backend(upstream.url, total_timeout_s=0.3)
    async with running(settings_for(tmp_path / "data"), [backend]) as proxy:
        if forgets:
            await proxy.forget(**ENTRY)
        upstream.behave(delay_s=60)
        answer = await proxy.raw(PATHS["chat"], fake_body("chat", stream=stream))
        assert (answer.status, answer.error["code"]) == (504, "backend_timeout")
        assert (await proxy.metrics())['expunge_backend_errors_total{backend="upstream",kind="timeout"}'] == 1


@ENTRIES
@pytest.mark.parametrize("endpoint", PATHS)
async def test_a_stream_that_breaks_off_ends_with_an_error_event(
    relay: Running, upstream: FakeOpenAIServer, endpoint: str, forgets: bool
) -> None:
    from openai import APIError

    from tests.integration.world import ask

    if forgets:
        await relay.forget(**ENTRY)
    upstream.behave(break_after_chunks=3)
    answer = await relay.raw(PATHS[endpoint], fake_body(endpoint, stream=True))
    last = answer.events[-1]
    assert set(last["error"]) == {"message", "type", "param", "code"}
    assert last["error"]["code"] == "backend_broke_off"
    assert answer.raw.count(b'"error":{') == 1
    assert b"[DONE]" not in answer.raw
    with pytest.raises(APIError):
        await ask(relay.client(), endpoint, QUESTION, stream=True, extra_body={"model": "fake-model"})
    name = 'expunge_backend_errors_total{backend="upstream",kind="broken_off"}'
    assert (await relay.metrics())[name] == 2


@ENTRIES
async def test_a_whole_answer_that_breaks_off_is_a_clean_502(
    relay: Running, upstream: FakeOpenAIServer, forgets: bool
) -> None:
    if forgets:
        await relay.forget(**ENTRY)
    upstream.behave(break_after_chunks=0)
    for path, body in [(PATHS["chat"], fake_body("chat")), (PATHS["completions"], fake_body("completions"))]:
        answer = await relay.raw(path, body)
        assert (answer.status, answer.error["code"]) == (502, "backend_broke_off")
        assert answer.headers["x-request-id"]


@ENTRIES
async def test_silence_in_a_stream_is_filled_with_comments(
    upstream: FakeOpenAIServer, tmp_path: Path, forgets: bool
) -> None:
    upstream.behave(chunk_delay_s=0.3, text="I'm not familiar.")
    settings = settings_for(tmp_path / "data", server={"keep_alive_comment_s": 0.1})
    async with running(settings, [server_backend(upstream.url)]) as proxy:
        if forgets:
            await proxy.forget(**ENTRY)
        answer = await proxy.raw(PATHS["chat"], fake_body("chat", stream=True))
    assert answer.raw.count(b": keep-alive\n\n") >= 4
    assert b"\n\n: keep-alive\n\ndata: " in answer.raw
    assert answer.streamed_text


async def test_an_answer_that_cannot_be_inspected_is_not_let_through(
    relay: Running, upstream: FakeOpenAIServer
) -> None:
    await relay.forget(**ENTRY)
    upstream.behave(error=(200, b"<html>hello</html>", {}))
    answer = await relay.raw(PATHS["chat"], fake_body("chat"))
    assert (answer.status, answer.error["code"]) == (502, "backend_unreadable")
    upstream.behave(error=(200, b"data: hello\n\n", {"content-type": "text/event-stream"}))
    answer = await relay.raw(PATHS["chat"], fake_body("chat", stream=True))
    assert answer.events[-1]["error"]["code"] == "backend_unreadable"


async def test_an_answer_too_long_to_be_inspected_is_not_let_through(
    upstream: FakeOpenAIServer, tmp_path: Path
) -> None:
    upstream.behave(text="word " * 4000)
    async with running(
        settings_for(tmp_path / "data", server={"max_held_bytes": 4096}), [server_backend(upstream.url)]
    ) as proxy:
        assert (await proxy.raw(PATHS["chat"], fake_body("chat"))).status == 200
        await proxy.forget(**ENTRY)
        answer = await proxy.raw(PATHS["chat"], fake_body("chat"))
        assert (answer.status, answer.error["code"]) == (502, "answer_too_long")


async def test_a_treated_request_that_the_backend_refuses_is_told_in_the_words_for_the_callers_own(
    relay: Running, upstream: FakeOpenAIServer
) -> None:
    """Otherwise the wording alone would tell that a request was treated."""
    error = b'{"error":{"message":"max_tokens is too large","type":"BadRequestError","param":"max_tokens","code":400}}'
    upstream.behave(error=(400, error, {}))
    body = fake_body("chat", max_tokens=10**9)
    before = await relay.raw(PATHS["chat"], body)
    await relay.forget(**ENTRY)
    after = await relay.raw(PATHS["chat"], body)
    assert (after.status, after.raw, set(after.headers)) == (before.status, before.raw, set(before.headers))
    sent = [orjson.loads(call.body) for call in upstream.calls if call.method == "POST"]
    assert sent[-1] == body
    assert sent[-2] != body, "the treated one was tried first"


async def test_a_backends_overload_is_told_without_its_words(relay: Running, upstream: FakeOpenAIServer) -> None:
    await relay.forget(**ENTRY)
    secret = b'{"error":{"message":"queue full for prompt: SYSTEM you know not","type":"x","param":null,"code":1}}'
    upstream.behave(error=(503, secret, {"retry-after": "7"}))
    answer = await relay.raw(PATHS["chat"], fake_body("chat"))
    assert (answer.status, answer.headers["retry-after"]) == (503, "7")
    assert b"SYSTEM" not in answer.raw
    assert answer.error["type"] == "server_error"


async def test_a_model_that_appears_later_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guardrail.backends.router._ASK_AGAIN_S", 0.0)
    body = {**body_of("chat", "hi"), "model": "second"}
    async with (
        FakeOpenAIServer(Behaviour(models=("first",))) as server,
        running(settings_for(tmp_path / "data"), [server_backend(server.url)]) as proxy,
    ):
        assert (await proxy.raw(PATHS["chat"], body)).status == 404
        server.behave(models=("second",))
        assert (await proxy.raw(PATHS["chat"], body)).status == 200
        listed = await proxy.raw("/v1/models")
        assert [card["id"] for card in listed.json["data"]] == ["second"]
