"""The OpenAI-compatible backend against a fake server over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from guardrail.backends.protocol import BackendAnswer, BackendCall, Capability
from guardrail.backends.vllm_server import VllmServer, request_headers
from guardrail.errors import ApiError, BackendError, ConfigError
from guardrail.settings import BackendSettings, parse
from tests.fakes.openai_server import FakeOpenAIServer

CHAT = "/v1/chat/completions"


def chat_body(**fields: Any) -> bytes:
    return orjson.dumps({"model": "fake-model", "messages": [{"role": "user", "content": "hello"}], **fields})


async def read(answer: BackendAnswer) -> bytes:
    return b"".join([chunk async for chunk in answer.chunks()])


async def read_into(got: list[bytes], answer: BackendAnswer) -> None:
    async for chunk in answer.chunks():
        got.append(chunk)


@pytest.fixture
async def server() -> AsyncIterator[FakeOpenAIServer]:
    async with FakeOpenAIServer() as running:
        yield running


@pytest.fixture
async def backend(server: FakeOpenAIServer) -> AsyncIterator[VllmServer]:
    made = await started(server.url)
    yield made
    await made.aclose()


async def started(url: str, **settings: Any) -> VllmServer:
    made = VllmServer(BackendSettings(name="main", kind="vllm_server", base_url=url, **settings))
    await made.start()
    return made


async def test_body_query_and_route_arrive_byte_for_byte(server: FakeOpenAIServer, backend: VllmServer) -> None:
    body = b'{ "model" : "fake-model",\n "odd\\u00e9": 1.50, "messages": [] }'
    answer = await backend.send(BackendCall(path=CHAT, body=body, query="a=%20b&c"))
    await read(answer)
    assert server.calls[-1].body == body
    assert server.calls[-1].target == CHAT + "?a=%20b&c"


async def test_the_answer_keeps_status_headers_and_bytes(server: FakeOpenAIServer, backend: VllmServer) -> None:
    server.behave(headers={"x-request-id": "abc"})
    answer = await backend.send(BackendCall(path=CHAT, body=chat_body()))
    headers = dict(answer.headers)
    body = await read(answer)
    assert answer.status == 200
    assert headers[b"x-request-id"] == b"abc"
    assert int(headers[b"content-length"]) == len(body)
    assert orjson.loads(body)["choices"][0]["message"]["content"].startswith("The quick")


async def test_a_streamed_answer_has_no_hop_by_hop_headers(backend: VllmServer) -> None:
    answer = await backend.send(BackendCall(path=CHAT, body=chat_body(stream=True), stream=True))
    assert {b"transfer-encoding", b"connection"}.isdisjoint(name for name, _ in answer.headers)
    assert (await read(answer)).endswith(b"data: [DONE]\n\n")


def test_the_callers_keys_and_connection_headers_are_not_sent_on() -> None:
    caller = [
        (b"Authorization", b"Bearer caller"),
        (b"X-Api-Key", b"caller"),
        (b"Cookie", b"a=b"),
        (b"Connection", b"keep-alive, X-Hop"),
        (b"X-Hop", b"1"),
        (b"X-Expunge-Explain", b"1"),
        (b"Accept-Encoding", b"gzip"),
        (b"X-Request-Id", b"r1"),
        (b"Content-Type", b"application/json; charset=utf-8"),
    ]
    assert dict(request_headers(caller, "upstream")) == {
        "x-request-id": "r1",
        "content-type": "application/json; charset=utf-8",
        "accept-encoding": "identity",
        "authorization": "Bearer upstream",
    }


async def test_the_upstream_key_comes_from_the_environment(
    server: FakeOpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSTREAM_KEY", "sk-up")
    backend = await started(server.url + "/v1/", api_key_env="UPSTREAM_KEY")
    call = BackendCall(path=CHAT, body=chat_body(), headers=[(b"authorization", b"Bearer caller")])
    await read(await backend.send(call))
    await backend.aclose()
    assert server.calls[-1].headers["authorization"] == "Bearer sk-up"


async def test_a_named_but_missing_key_variable_is_told_at_start(
    server: FakeOpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UPSTREAM_KEY", raising=False)
    with pytest.raises(ConfigError, match="UPSTREAM_KEY"):
        await started(server.url, api_key_env="UPSTREAM_KEY")


async def test_an_odd_error_body_comes_back_in_openai_shape(server: FakeOpenAIServer, backend: VllmServer) -> None:
    server.behave(error=(401, b'{"error":"Unauthorized"}', {"retry-after": "3"}))
    answer = await backend.send(BackendCall(path=CHAT, body=chat_body()))
    body = await read(answer)
    headers = dict(answer.headers)
    assert answer.status == 401
    assert orjson.loads(body)["error"]["code"] == "invalid_api_key"
    assert headers[b"retry-after"] == b"3"
    assert int(headers[b"content-length"]) == len(body)


async def test_an_endless_error_body_is_cut_short(server: FakeOpenAIServer, backend: VllmServer) -> None:
    server.behave(error=(500, b"x" * 3_000_000, {}))
    body = await read(await backend.send(BackendCall(path=CHAT, body=chat_body())))
    assert orjson.loads(body)["error"]["message"] == "The backend answered with status 500."


async def test_nothing_listening_is_a_502() -> None:
    async with FakeOpenAIServer() as gone:
        url = gone.url
    backend = await started(url)
    with pytest.raises(BackendError) as caught:
        await backend.send(BackendCall(path=CHAT, body=chat_body()))
    assert (caught.value.status, caught.value.code) == (502, "backend_unavailable")
    assert not (await backend.health()).ok
    await backend.aclose()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_slow_answer_is_a_504(server: FakeOpenAIServer, stream: bool) -> None:
    server.behave(delay_s=0 if stream else 30, chunk_delay_s=30 if stream else 0)
    backend = await started(server.url, total_timeout_s=0.2)
    with pytest.raises(BackendError) as caught:
        await read(await backend.send(BackendCall(path=CHAT, body=chat_body(stream=stream), stream=stream)))
    assert caught.value.status == 504
    await server.until_idle()
    await backend.aclose()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_break_off_in_the_middle_is_raised_from_chunks(
    server: FakeOpenAIServer, backend: VllmServer, stream: bool
) -> None:
    server.behave(break_after_chunks=3)
    answer = await backend.send(BackendCall(path=CHAT, body=chat_body(stream=stream), stream=stream))
    got: list[bytes] = []
    with pytest.raises(BackendError, match="broke off") as caught:
        await read_into(got, answer)
    assert caught.value.status == 502
    assert got
    assert (await backend.health()).facts["in_flight"] == 0


async def test_closing_an_answer_early_cancels_the_work(server: FakeOpenAIServer, backend: VllmServer) -> None:
    server.behave(chunk_delay_s=0.01, text="word " * 5000)
    answer = await backend.send(BackendCall(path=CHAT, body=chat_body(stream=True), stream=True))
    async for _ in answer.chunks():
        break
    await answer.aclose()
    await answer.aclose()
    await server.until_idle()
    assert server.cancelled == 1
    assert (await backend.health()).facts["in_flight"] == 0


async def test_closing_from_another_task_ends_the_reader_quietly(server: FakeOpenAIServer, backend: VllmServer) -> None:
    server.behave(chunk_delay_s=30)
    answer = await backend.send(BackendCall(path=CHAT, body=chat_body(stream=True), stream=True))
    reader = asyncio.create_task(read(answer))
    await asyncio.sleep(0.01)
    await answer.aclose()
    assert await reader == b""


async def test_a_call_given_up_before_its_headers_cancels_the_work(
    server: FakeOpenAIServer, backend: VllmServer
) -> None:
    server.behave(delay_s=30)
    task = asyncio.create_task(backend.send(BackendCall(path=CHAT, body=chat_body())))
    await server.until_called()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await server.until_idle()
    assert server.cancelled == 1


async def test_more_than_max_in_flight_is_a_503_with_retry_after(server: FakeOpenAIServer) -> None:
    backend = await started(server.url, max_in_flight=1)
    first = await backend.send(BackendCall(path=CHAT, body=chat_body()))
    with pytest.raises(ApiError) as caught:
        await backend.send(BackendCall(path=CHAT, body=chat_body()))
    assert caught.value.status == 503
    assert caught.value.retry_after_s is not None
    await read(first)
    await read(await backend.send(BackendCall(path=CHAT, body=chat_body())))
    await backend.aclose()


async def test_connections_are_used_again(server: FakeOpenAIServer, backend: VllmServer) -> None:
    for _ in range(3):
        await read(await backend.send(BackendCall(path=CHAT, body=chat_body())))
    assert len({call.peer_port for call in server.calls}) == 1


async def test_a_stale_pooled_connection_is_tried_again_once(server: FakeOpenAIServer, backend: VllmServer) -> None:
    await read(await backend.send(BackendCall(path=CHAT, body=chat_body())))
    server.behave(drop_first=1)
    answer = await backend.send(BackendCall(path=CHAT, body=chat_body()))
    await read(answer)
    assert answer.status == 200
    assert server.count == 3


async def test_a_fresh_connection_that_breaks_is_not_tried_again(server: FakeOpenAIServer, backend: VllmServer) -> None:
    server.behave(drop_first=1)
    with pytest.raises(BackendError):
        await backend.send(BackendCall(path=CHAT, body=chat_body()))
    assert server.count == 1


async def test_models_are_the_servers_own(server: FakeOpenAIServer, backend: VllmServer) -> None:
    assert [card["id"] for card in await backend.models()] == ["fake-model"]
    health = await backend.health()
    assert health.ok
    assert health.facts["models"] == ["fake-model"]


@pytest.mark.parametrize(
    ("setting", "capability"),
    [
        ("restricts", Capability.RESTRICT),
        ("offsets", Capability.OFFSET),
        ("processed_logprobs", Capability.PROCESSED_LOGPROBS),
        ("negative_prompts", Capability.NEGATIVE_PROMPT),
    ],
)
def test_what_cannot_be_asked_of_a_server_is_told_by_the_settings(setting: str, capability: Capability) -> None:
    def served(kind: str, *told: str) -> BackendSettings:
        one = {"name": "b", "kind": kind, "base_url": "http://127.0.0.1:8100", **dict.fromkeys(told, True)}
        return parse({"backends": [one]}).backends[0]

    assert capability not in VllmServer(served("vllm_server")).capabilities
    assert capability in VllmServer(served("vllm_server", setting)).capabilities
    with pytest.raises(ConfigError, match=f"leave {setting} out"):
        served("transformers_local", setting)
