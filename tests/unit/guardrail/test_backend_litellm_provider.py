"""The LiteLLM backend: what it lets through, what it hides, how providers' errors come back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from guardrail.backends.litellm_provider import LitellmProvider
from guardrail.backends.litellm_shapes import chat, chat_chunk
from guardrail.backends.protocol import BackendAnswer, BackendCall
from guardrail.errors import BackendError, ConfigError
from guardrail.settings import BackendSettings
from tests.fakes.openai_server import Behaviour, FakeOpenAIServer

CHAT = "/v1/chat/completions"

# LiteLLM's own types and its use of them make pydantic warn.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Item '.*' on TypedDict class:UserWarning"),
    pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning"),
]


@pytest.fixture
async def server() -> AsyncIterator[FakeOpenAIServer]:
    async with FakeOpenAIServer(Behaviour(models=())) as running:
        yield running


@pytest.fixture
async def backend(server: FakeOpenAIServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LitellmProvider]:
    monkeypatch.setenv("A_KEY", "sk-secret")
    settings = BackendSettings(
        name="p", kind="litellm_provider", base_url=server.url, models={"m": "openai/m"}, api_key_env="A_KEY"
    )
    made = LitellmProvider(settings)
    await made.start()
    yield made
    await made.aclose()


async def ask(backend: LitellmProvider, **fields: Any) -> tuple[BackendAnswer, Any]:
    body = {"model": "openai/m", "messages": [{"role": "user", "content": "hi"}], **fields}
    answer = await backend.send(BackendCall(path=CHAT, body=orjson.dumps(body)))
    return answer, orjson.loads(b"".join([chunk async for chunk in answer.chunks()]))


@pytest.mark.parametrize("field", ["api_base", "api_key", "base_url", "extra_headers", "mock_response", "fallbacks"])
async def test_a_caller_cannot_set_addresses_keys_or_litellms_own_arguments(
    backend: LitellmProvider, server: FakeOpenAIServer, field: str
) -> None:
    answer, body = await ask(backend, **{field: "http://elsewhere"})
    assert (answer.status, body["error"]["param"]) == (400, field)
    assert server.count == 0


async def test_the_upstream_key_and_the_callers_fields_arrive(
    backend: LitellmProvider, server: FakeOpenAIServer
) -> None:
    await ask(backend, temperature=0.5, seed=3, stop=["x"])
    assert server.calls[-1].headers["authorization"] == "Bearer sk-secret"
    sent = orjson.loads(server.calls[-1].body)
    assert (sent["model"], sent["temperature"], sent["seed"], sent["stop"]) == ("m", 0.5, 3, ["x"])


async def test_a_rate_limit_keeps_status_message_code_and_retry_after(
    backend: LitellmProvider, server: FakeOpenAIServer
) -> None:
    error = b'{"error":{"message":"slow down","type":"requests","param":null,"code":"rate_limit_exceeded"}}'
    server.behave(error=(429, error, {"retry-after": "7"}))
    answer, body = await ask(backend)
    assert answer.status == 429
    assert dict(answer.headers)[b"retry-after"] == b"7"
    assert body == {"error": {"message": "slow down", "type": "requests", "param": None, "code": "rate_limit_exceeded"}}
    assert server.count == 1


async def test_an_error_that_repeats_the_key_does_not_reach_the_caller(
    backend: LitellmProvider, server: FakeOpenAIServer
) -> None:
    server.behave(error=(401, b'{"error":{"message":"bad key sk-secret","type":"t","param":null,"code":null}}', {}))
    answer, body = await ask(backend)
    assert answer.status == 401
    assert "sk-secret" not in orjson.dumps(body).decode()


@pytest.mark.parametrize("status", [400, 401, 404, 500])
async def test_odd_error_bodies_have_four_keys(backend: LitellmProvider, server: FakeOpenAIServer, status: int) -> None:
    server.behave(error=(status, b'{"error":"Odd"}', {}))
    answer, body = await ask(backend)
    assert answer.status == status
    assert set(body["error"]) == {"message", "type", "param", "code"}


async def test_a_provider_out_of_reach_is_a_502(backend: LitellmProvider, server: FakeOpenAIServer) -> None:
    await server.stop()
    with pytest.raises(BackendError) as caught:
        await ask(backend)
    assert caught.value.status == 502


async def test_a_break_off_in_a_stream_is_raised_and_the_stream_has_no_end_mark(
    backend: LitellmProvider, server: FakeOpenAIServer
) -> None:
    server.behave(break_after_chunks=3)
    body = {"model": "openai/m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    answer = await backend.send(BackendCall(path=CHAT, body=orjson.dumps(body), stream=True))
    got: list[bytes] = []
    with pytest.raises(BackendError, match="broke off"):
        await read_into(got, answer)
    assert got
    assert not any(b"[DONE]" in chunk for chunk in got)


async def read_into(got: list[bytes], answer: BackendAnswer) -> None:
    async for chunk in answer.chunks():
        got.append(chunk)


async def test_a_missing_key_variable_is_told_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("A_KEY", raising=False)
    settings = BackendSettings(name="p", kind="litellm_provider", models={"m": "openai/m"}, api_key_env="A_KEY")
    with pytest.raises(ConfigError, match="A_KEY"):
        await LitellmProvider(settings).start()


def test_a_refusal_that_litellm_put_aside_comes_back() -> None:
    data = {
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": None, "role": "assistant"}}],
        "service_tier": None,
    }
    data["choices"][0]["message"]["provider_specific_fields"] = {"refusal": "no"}  # type: ignore[index]
    out = chat(data)
    assert out["choices"][0]["message"] == {"role": "assistant", "content": None, "refusal": "no"}
    assert "service_tier" not in out


def test_the_usage_chunk_loses_its_empty_choice_only_when_usage_was_asked() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    chunk = {"choices": [{"index": 0, "delta": {"content": None}, "finish_reason": None}], "usage": usage}
    assert chat_chunk(chunk, include_usage=True) == {"choices": [], "usage": usage}
    assert "usage" not in chat_chunk(chunk, include_usage=False)
