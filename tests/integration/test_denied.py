"""What would reveal a treatment or escape inspection is denied or stripped while something is to be forgotten, and passes
otherwise."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from tests.fakes.openai_server import FakeOpenAIServer
from tests.integration.conftest import Start
from tests.integration.running import Running
from tests.integration.world import (
    ENTRY,
    IGNORANT,
    NAME,
    OTHER_ENTRY,
    PATHS,
    QUESTION,
    ask,
    body_of,
    obeys,
)

DENIED: list[tuple[str, dict[str, Any], str]] = [
    ("completions", {"echo": True}, "echo"),
    ("chat", {"echo": True}, "echo"),
    ("completions", {"prompt_logprobs": 1}, "prompt_logprobs"),
    ("chat", {"prompt_logprobs": 0}, "prompt_logprobs"),
    ("completions", {"prompt_embeds": "AAAA"}, "prompt_embeds"),
    ("chat", {"chat_template": "{{ messages }}"}, "chat_template"),
    (
        "chat",
        {"messages": [{"role": "user", "content": [{"type": "prompt_embeds", "data": "AAAA"}]}]},
        "messages.0.content",
    ),
    ("responses", {"previous_response_id": "resp_1"}, "previous_response_id"),
    ("responses", {"conversation": "conv_1"}, "conversation"),
    ("responses", {"background": True}, "background"),
]


@pytest.mark.parametrize(("endpoint", "fields", "param"), DENIED, ids=[f"{e}-{p}" for e, _, p in DENIED])
async def test_a_field_that_escapes_inspection_is_denied_only_while_something_is_forgotten(
    relay: Running, upstream: FakeOpenAIServer, endpoint: str, fields: dict[str, Any], param: str
) -> None:
    body = orjson.dumps({**body_of(endpoint, "hi"), "model": "fake-model", **fields})
    assert (await relay.raw(PATHS[endpoint], body)).status == 200
    assert upstream.calls[-1].body == body
    entry = await relay.forget(**OTHER_ENTRY)
    calls = upstream.count
    answer = await relay.raw(PATHS[endpoint], body)
    assert (answer.status, answer.error["param"]) == (400, param)
    assert upstream.count == calls, "nothing of it reached the backend"
    await relay.admin("DELETE", f"/v1/forget/entries/{entry}")
    assert (await relay.raw(PATHS[endpoint], body)).status == 200


@pytest.mark.parametrize("path", ["/v1/load_lora_adapter", "/v1/unload_lora_adapter/", "/v1/%6Coad_LORA_adapter"])
async def test_routes_that_change_what_is_served_are_never_passed(
    relay: Running, upstream: FakeOpenAIServer, path: str
) -> None:
    calls = upstream.count
    answer = await relay.raw(path, {"lora_name": "fake-model", "lora_path": "elsewhere"})
    assert answer.status == 404
    assert upstream.count == calls


async def test_other_routes_are_denied_only_while_something_is_forgotten(
    relay: Running, upstream: FakeOpenAIServer
) -> None:
    calls = [("POST", "/v1/messages"), ("GET", "/v1/responses/resp_1"), ("POST", "/v1/chat/completions/batch")]
    calls += [("DELETE", "/v1/files/f1"), ("POST", "/v1/chat/completions/"), ("POST", "/v1/audio/speech")]
    upstream.behave(error=(200, b"{}", {}))
    for method, path in calls:
        answer = await relay.raw(path, {"model": "fake-model"} if method == "POST" else None, method=method)
        assert answer.status == 200, path
        assert upstream.calls[-1].target == path
    await relay.forget(**OTHER_ENTRY)
    for method, path in calls:
        answer = await relay.raw(path, {"model": "fake-model"} if method == "POST" else None, method=method)
        assert (answer.status, answer.error["code"]) == (403, "route_denied"), path


@pytest.mark.parametrize("endpoint", PATHS)
async def test_fields_that_show_the_prompt_are_stripped_from_what_is_treated(
    relay: Running, upstream: FakeOpenAIServer, endpoint: str
) -> None:
    fields = {"return_token_ids": True, "return_prompt_text": True, "x_mine": 1}
    body = {**body_of(endpoint, QUESTION), "model": "fake-model", **fields}
    await relay.forget(**ENTRY)
    await relay.raw(PATHS[endpoint], body)
    for call in upstream.calls:
        if call.method == "POST":
            sent = orjson.loads(call.body)
            assert "return_prompt_text" not in sent
            assert "return_token_ids" not in sent
            assert sent["x_mine"] == 1


ROUTES = {PATHS[endpoint]: body_of(endpoint, "hi") for endpoint in PATHS} | {"/v1/messages": body_of("chat", "hi")}


@pytest.mark.parametrize("path", ROUTES)
async def test_what_only_expunge_may_ask_of_a_model_is_stripped_whether_or_not_something_is_forgotten(
    relay: Running, upstream: FakeOpenAIServer, path: str
) -> None:
    own = {"vllm_xargs": {"expunge_offset": 1.0, "mine": 2}, "extra_body": {"vllm_xargs": {"expunge_phrases": "[]"}}}
    body = {**ROUTES[path], "model": "fake-model", **own}
    for entry in (None, OTHER_ENTRY):
        if entry is not None:
            await relay.forget(**entry)
        if path in PATHS.values() or entry is None:
            await relay.raw(path, body)
    sent = [orjson.loads(call.body) for call in upstream.calls if call.method == "POST"]
    assert sent
    for one in sent:
        assert one == {**ROUTES[path], "model": "fake-model", "vllm_xargs": {"mine": 2}}


async def test_another_encoding_of_a_passed_body_hides_nothing(relay: Running, upstream: FakeOpenAIServer) -> None:
    text = '\n{"model": "fake-model", "big": 123456789012345678901234567890, "vllm_xargs": {"\\u0065xpunge_offset": 1}}'
    for raw in (text.encode(), text.encode("utf-16"), text.encode("utf-8-sig")):
        await relay.raw("/v1/messages", raw)
        assert json.loads(upstream.calls[-1].body) == {"model": "fake-model", "big": 123456789012345678901234567890}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_responses_object_shows_the_callers_own_request(start: Start, stream: bool) -> None:
    seen: list[Any] = []

    def told(body: Any) -> str:
        seen.append(body)
        return obeys(body)

    proxy = await start(script=told)
    await proxy.forget(**ENTRY)
    for own in ("Be brief.", None):
        fields = {"instructions": own} if own else {}
        body = body_of("responses", QUESTION, stream=stream, **fields)
        answer = await proxy.raw(PATHS["responses"], body)
        assert {key: seen[-1].get(key) for key in body} != body, "the model was told something"
        objects = [e["response"] for e in answer.events if "response" in e] if stream else [answer.json]
        assert objects
        assert all(one["instructions"] == own for one in objects)
        assert NAME.encode() not in answer.raw
        assert await ask(proxy.client(), "responses", QUESTION, stream=stream, **fields) == IGNORANT


async def test_injected_text_stands_behind_the_callers_own_in_the_order_of_entries(start: Start) -> None:
    """So the backend's cache of prefixes still serves the callers' stable texts."""
    seen: list[Any] = []

    def remembers(body: Any) -> str:
        seen.append(body)
        return "I'm not familiar with them."

    proxy = await start(script=remembers)
    await proxy.forget(id="b-second", name="Tobias Unruh")
    await proxy.forget(id="a-first", name=NAME)
    system = "You are the librarian of a small town."
    added = []
    for question in (f"Who are {NAME} and Tobias Unruh?", f"Tell me of Tobias Unruh and of {NAME}."):
        messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
        await proxy.chat(messages=messages)
        first, *_, last = seen[-1]["messages"]
        assert first["role"] == "system"
        assert first["content"].startswith(system)
        assert last["role"] == "user"
        assert last["content"].startswith(question)
        added.append(first["content"].removeprefix(system) + last["content"].removeprefix(question))
    assert added[0].index(NAME) < added[0].index("Tobias Unruh")
    assert added[0] == added[1], "the same entries give the same text, whatever order they are asked in"


@pytest.mark.parametrize("policy", ["refuse", "pass"])
async def test_embeddings_of_the_forgotten_are_refused_or_passed_as_the_policy_says(start: Start, policy: str) -> None:
    proxy = await start(policy={"embeddings": policy})
    client = proxy.client()
    before = await client.embeddings.create(model="echo", input=[QUESTION, "hello"])
    await proxy.forget(**ENTRY)
    innocent = await client.embeddings.create(model="echo", input=["hello"])
    assert innocent.data[0].embedding == before.data[1].embedding
    for given in (QUESTION, ["hello", QUESTION], [1, 2, 3], [[1, 2]]):
        answer = await proxy.raw("/v1/embeddings", {"model": "echo", "input": given})
        if policy == "refuse":
            assert (answer.status, answer.error["param"]) == (400, "input")
        elif not isinstance(given, list) or isinstance(given[0], str):
            assert answer.status == 200
