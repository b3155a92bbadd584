"""Every backend of the table keeps the promises of `guardrail.backends.protocol` on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
import pytest

from guardrail.backends import BACKENDS, create
from guardrail.backends.protocol import Backend, BackendAnswer, BackendCall, Capability
from guardrail.errors import ApiError, ConfigError
from guardrail.settings import BackendSettings
from tests.fakes.openai_server import Behaviour, FakeOpenAIServer

# LiteLLM's own types and its use of them make pydantic warn.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Item '.*' on TypedDict class:UserWarning"),
    pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning"),
]

CHAT = "/v1/chat/completions"


@dataclass(frozen=True)
class Member:
    """A running backend, and what makes it answer slowly: `slow` goes into the body, the others tell its server."""

    backend: Backend
    model: str
    slow: dict[str, Any]
    slow_stream: Callable[[], None] = lambda: None
    slow_whole: Callable[[], None] = lambda: None
    server: FakeOpenAIServer | None = None

    def call(self, text: str = "What is the capital of France?", path: str = CHAT, **fields: Any) -> BackendCall:
        """A call of one user text."""
        body: dict[str, Any] = {"model": self.model, "temperature": 0, **fields}
        if path == CHAT:
            body["messages"] = [{"role": "user", "content": text}]
        elif path == "/v1/completions":
            body["prompt"] = text
        else:
            body["input"] = text
        if path == "/v1/embeddings":
            body.pop("temperature")
        return BackendCall(path=path, body=orjson.dumps(body), model=self.model, stream=bool(fields.get("stream")))


@asynccontextmanager
async def running(settings: BackendSettings) -> AsyncIterator[Backend]:
    backend = create(settings)
    await backend.start()
    yield backend
    await backend.aclose()


@asynccontextmanager
async def echo() -> AsyncIterator[Member]:
    async with running(BackendSettings(name="m", kind="echo")) as backend:
        yield Member(backend, "echo", {"echo_delay_s": 30})


@asynccontextmanager
async def vllm_server() -> AsyncIterator[Member]:
    async with FakeOpenAIServer() as server:
        settings = BackendSettings(name="m", kind="vllm_server", base_url=server.url)
        async with running(settings) as backend:
            slow_stream, slow_whole = partial(server.behave, chunk_delay_s=30), partial(server.behave, delay_s=30)
            yield Member(backend, "fake-model", {}, slow_stream, slow_whole, server)


@asynccontextmanager
async def litellm_provider() -> AsyncIterator[Member]:
    async with FakeOpenAIServer(Behaviour(models=())) as server:
        settings = BackendSettings(
            name="m", kind="litellm_provider", base_url=server.url, models={"fake": "openai/fake"}, api_key_env="A_KEY"
        )
        async with running(settings) as backend:
            slow_stream, slow_whole = partial(server.behave, chunk_delay_s=30), partial(server.behave, delay_s=30)
            yield Member(backend, "openai/fake", {}, slow_stream, slow_whole, server)


@asynccontextmanager
async def transformers_local() -> AsyncIterator[Member]:
    async with running(BackendSettings(name="m", kind="transformers_local")) as backend:
        yield Member(backend, "smollm2", {"max_tokens": 4000, "ignore_eos": True})


OPENERS: dict[str, Callable[[], AbstractAsyncContextManager[Member]]] = {
    "echo": echo,
    "vllm_server": vllm_server,
    "litellm_provider": litellm_provider,
    "transformers_local": transformers_local,
}


DRAWING = {"diffusers_pipeline"}
"""They draw, and say nothing: see tests/unit/guardrail/test_backend_diffusers_pipeline.py."""


@pytest.fixture(
    params=[pytest.param(kind, marks=[pytest.mark.model] if kind == "transformers_local" else []) for kind in OPENERS]
)
async def member(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Member]:
    monkeypatch.setenv("A_KEY", "sk-test")
    async with OPENERS[request.param]() as opened:
        yield opened


async def read(answer: BackendAnswer) -> bytes:
    return b"".join([chunk async for chunk in answer.chunks()])


async def ask(member: Member, *args: Any, **fields: Any) -> tuple[int, Any]:
    answer = await member.backend.send(member.call(*args, **fields))
    return answer.status, orjson.loads(await read(answer))


async def in_flight(member: Member) -> int:
    facts = (await member.backend.health()).facts
    return int(facts["in_flight"]) + int(facts.get("generating", 0))


async def until_free(member: Member) -> None:
    async with asyncio.timeout(20):
        while await in_flight(member):  # noqa: ASYNC110 - the protocol has no event for it
            await asyncio.sleep(0.01)
        if member.server is not None:
            await member.server.until_idle()


def events(stream: bytes) -> list[dict[str, Any]]:
    lines = [line for line in stream.split(b"\n") if line.startswith(b"data: ") and line != b"data: [DONE]"]
    return [orjson.loads(line[6:]) for line in lines]


async def test_a_whole_chat_answer_is_a_chat_completion(member: Member) -> None:
    status, body = await ask(member, max_tokens=12)
    assert status == 200
    assert body["object"] == "chat.completion"
    choice = body["choices"][0]
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"]
    assert {"finish_reason", "index", "logprobs"} <= choice.keys()
    assert "refusal" in choice["message"]
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]
    assert await in_flight(member) == 0


async def test_a_stream_says_the_same_as_the_whole_and_ends_with_done(member: Member) -> None:
    _, body = await ask(member, max_tokens=12)
    answer = await member.backend.send(member.call(max_tokens=12, stream=True))
    headers = dict(answer.headers)
    stream = await read(answer)
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert stream.endswith(b"data: [DONE]\n\n")
    chunks = events(stream)
    assert len({chunk["id"] for chunk in chunks}) == 1
    said = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert said == body["choices"][0]["message"]["content"]
    finishes = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]]
    assert [finish for finish in finishes if finish] == [body["choices"][0]["finish_reason"]]
    roles = [choice["delta"].get("role") for chunk in chunks for choice in chunk["choices"]]
    assert [role for role in roles if role] == ["assistant"]
    assert all("usage" not in chunk for chunk in chunks)
    assert await in_flight(member) == 0


async def test_the_usage_chunk_comes_last_and_has_no_choices(member: Member) -> None:
    call = member.call(max_tokens=8, stream=True, stream_options={"include_usage": True})
    chunks = events(await read(await member.backend.send(call)))
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] > 0
    assert all(chunk["usage"] is None and chunk["choices"] for chunk in chunks[:-1])


async def test_a_text_completion_is_served_whole_and_streamed(member: Member) -> None:
    status, body = await ask(member, path="/v1/completions", max_tokens=6)
    assert (status, body["object"]) == (200, "text_completion")
    stream = await read(await member.backend.send(member.call(path="/v1/completions", max_tokens=6, stream=True)))
    assert stream.endswith(b"data: [DONE]\n\n")
    said = "".join(choice["text"] for chunk in events(stream) for choice in chunk["choices"])
    assert said == body["choices"][0]["text"]


async def test_responses_stream_in_openais_order(member: Member) -> None:
    status, body = await ask(member, path="/v1/responses")
    assert (status, body["object"]) == (200, "response")
    stream = await read(await member.backend.send(member.call(path="/v1/responses", stream=True)))
    kinds = [event["type"] for event in events(stream)]
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    order = [
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
    ]
    assert [kind for kind in dict.fromkeys(kinds) if kind in order] == order
    said = "".join(event["delta"] for event in events(stream) if event["type"] == "response.output_text.delta")
    assert said == body["output"][0]["content"][0]["text"]


async def test_embeddings_are_served_where_the_backend_says_so(member: Member) -> None:
    if Capability.EMBEDDINGS in member.backend.capabilities:
        status, body = await ask(member, path="/v1/embeddings")
        assert status == 200
        assert body["data"][0]["embedding"]
    else:
        status, body = await ask(member, path="/v1/embeddings")
        assert (status, body["error"]["code"]) == (404, "not_found")


async def test_an_unknown_model_is_an_error_in_openai_shape(member: Member) -> None:
    if isinstance(member.model, str) and member.model.startswith("openai/"):
        body = {"model": "openai/other", "messages": [{"role": "user", "content": "hi"}]}
    else:
        body = {"model": "no-such-model", "messages": [{"role": "user", "content": "hi"}]}
    answer = await member.backend.send(BackendCall(path=CHAT, body=orjson.dumps(body)))
    error = orjson.loads(await read(answer))["error"]
    assert answer.status == 404
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["code"], str)


async def test_closing_a_stream_early_frees_the_work(member: Member) -> None:
    member.slow_stream()
    answer = await member.backend.send(member.call(stream=True, **member.slow))
    assert await in_flight(member) >= 1
    await answer.aclose()
    await answer.aclose()
    await until_free(member)


async def test_giving_up_a_whole_answer_frees_the_work(member: Member) -> None:
    member.slow_whole()
    task = asyncio.create_task(member.backend.send(member.call(**member.slow)))
    async with asyncio.timeout(20):
        while not await in_flight(member):  # noqa: ASYNC110 - the protocol has no event for it
            await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_free(member)


async def test_concurrent_calls_do_not_mix(member: Member) -> None:
    questions = ["What is the capital of France?", "Tell me about rivers.", "Name a colour.", "What is 2 + 2?"] * 2
    alone = {question: (await ask(member, question, max_tokens=8))[1]["choices"] for question in set(questions)}
    together = await asyncio.gather(*(ask(member, question, max_tokens=8) for question in questions))
    assert [body["choices"] for _, body in together] == [alone[question] for question in questions]


async def test_models_lists_what_is_served(member: Member) -> None:
    cards = await member.backend.models()
    assert all(isinstance(card["id"], str) and card["object"] == "model" for card in cards)


async def test_health_is_well_while_running(member: Member) -> None:
    assert (await member.backend.health()).ok


async def test_more_than_max_in_flight_is_refused_with_retry_after(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = BackendSettings(name="m", kind="echo", max_in_flight=1)
    async with running(settings) as backend:
        member = Member(backend, "echo", {})
        first = await backend.send(member.call(stream=True))
        with pytest.raises(ApiError) as caught:
            await backend.send(member.call())
        assert (caught.value.status, caught.value.code) == (503, "overloaded")
        assert caught.value.retry_after_s
        await first.aclose()
        assert (await ask(member))[0] == 200


def test_every_member_of_the_table_is_opened_here() -> None:
    assert OPENERS.keys() | DRAWING == BACKENDS.keys()


def test_an_unknown_kind_lists_the_known_and_suggests_the_nearest() -> None:
    settings = BackendSettings.model_construct(name="m", kind="vlm_server")
    with pytest.raises(ConfigError, match=r"vlm_server.*echo.*Did you mean 'vllm_server'"):
        create(settings)
