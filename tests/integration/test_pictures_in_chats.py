"""Pictures that a server draws in chats and responses: not while anything is forgotten in pictures, whoever asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.fakes.small_pictures import data_url, painted_file
from tests.integration.running import Running, listening, running, server_backend, settings_for

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
NAME = "strypov"
PICTURE = data_url(painted_file("red", 1))
MESSAGES = {"model": "there", "messages": [{"role": "user", "content": "a red circle"}]}
ASKING: list[tuple[str, dict[str, Any]]] = [
    (CHAT, {**MESSAGES, "modalities": ["image"]}),
    (RESPONSES, {"model": "there", "input": "a red circle", "tools": [{"type": "image_generation"}]}),
]


class DrawingServer:
    """Draws in chats and responses, as vLLM-Omni and OpenAI do; in a stream the picture is one event."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raw, more = b"", scope["method"] == "POST"
        while more:
            message = await receive()
            raw, more = raw + message["body"], message.get("more_body", False)
        kind, out = b"application/json", orjson.dumps({"object": "list", "data": [{"id": "there", "object": "model"}]})
        if raw:
            self.bodies.append(orjson.loads(raw))
            kind, out = _answered(scope["path"], self.bodies[-1])
        headers = [(b"content-type", kind), (b"content-length", str(len(out)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": out})


def _answered(path: str, body: dict[str, Any]) -> tuple[bytes, bytes]:
    head: dict[str, Any] = {"id": "a", "model": "there"}
    if path == RESPONSES:
        drawn = {"id": "ig", "type": "image_generation_call", "status": "completed", "result": PICTURE}
        return b"application/json", orjson.dumps({**head, "object": "response", "created_at": 1, "output": [drawn]})
    said = {"role": "assistant", "content": [{"type": "image_url", "image_url": {"url": PICTURE}}]}
    choice = {"index": 0, "finish_reason": "stop"}
    if body.get("stream"):
        event = {**head, "object": "chat.completion.chunk", "created": 1, "choices": [{**choice, "delta": said}]}
        return b"text/event-stream", b"data: " + orjson.dumps(event) + b"\n\ndata: [DONE]\n\n"
    answer = {**head, "object": "chat.completion", "created": 1, "choices": [{**choice, "message": said}]}
    return b"application/json", orjson.dumps(answer)


@asynccontextmanager
async def drawing(tmp_path: Path, **sections: Any) -> AsyncIterator[tuple[Running, DrawingServer]]:
    server = DrawingServer()
    async with listening(server) as url, running(settings_for(tmp_path, **sections), [server_backend(url)]) as proxy:
        yield proxy, server


@pytest.mark.parametrize(("path", "body"), ASKING, ids=["chat", "responses"])
async def test_a_request_for_pictures_is_refused_the_same_for_everybody_while_any_entry_covers_them(
    tmp_path: Path, path: str, body: dict[str, Any]
) -> None:
    async with drawing(tmp_path) as (proxy, server):
        before = await proxy.raw(path, body)
        assert before.status == 200
        assert PICTURE.encode() in before.raw
        asked = len(server.bodies)
        entry_id = await proxy.forget(NAME, kind="style", modalities=["image"], scope={"tenants": ["somebody-else"]})
        refused = await proxy.raw(path, body)
        assert refused.status == 400
        assert "/v1/images/generations" in refused.error["message"]
        assert NAME.encode() not in refused.raw
        assert len(server.bodies) == asked
        own_id = await proxy.forget("another", kind="style")
        assert (await proxy.raw(path, body)).raw == refused.raw
        for one in (entry_id, own_id):
            assert (await proxy.admin("DELETE", f"/v1/forget/entries/{one}")).status_code in (200, 204)
        assert (await proxy.raw(path, body)).raw == before.raw


async def test_entries_for_words_and_entries_in_shadow_leave_pictures_alone(tmp_path: Path) -> None:
    async with drawing(tmp_path) as (proxy, _):
        await proxy.forget("words alone", modalities=["text"])
        await proxy.forget("only watched", shadow=True)
        for path, body in ASKING:
            answer = await proxy.raw(path, body)
            assert (answer.status, PICTURE.encode() in answer.raw) == (200, True)


@pytest.mark.parametrize("modalities", [["text", "image"], ["image"]])
async def test_a_picture_that_nobody_asked_for_does_not_leave_either(tmp_path: Path, modalities: list[str]) -> None:
    async with drawing(tmp_path) as (proxy, _):
        await proxy.forget(NAME, kind="style", modalities=modalities)
        for body in (MESSAGES, {**MESSAGES, "messages": [{"role": "user", "content": f"a red circle by {NAME}"}]}):
            whole = await proxy.raw(CHAT, body)
            assert PICTURE.encode() not in whole.raw
            assert b'"message"' in whole.raw
            streamed = await proxy.raw(CHAT, {**body, "stream": True})
            assert PICTURE.encode() not in streamed.raw
        assert whole.status == 400 or "choices" in whole.json
        untouched = await proxy.raw(CHAT, MESSAGES)
        assert (untouched.status, untouched.error["code"]) == (400, "unsupported_value")
        assert b"/v1/images/generations" in (await proxy.raw(CHAT, {**MESSAGES, "stream": True})).raw
        answer = await proxy.raw(RESPONSES, {"model": "there", "input": "a red circle"})
        assert answer.status == 400


async def test_an_operator_may_let_pictures_pass(tmp_path: Path) -> None:
    async with drawing(tmp_path, policy={"pictures_in_chats": "pass"}) as (proxy, _):
        await proxy.forget(NAME, kind="style")
        for path, body in ASKING:
            answer = await proxy.raw(path, body)
            assert (answer.status, PICTURE.encode() in answer.raw) == (200, True)


async def test_while_the_whole_proxy_only_watches_nothing_is_refused(tmp_path: Path) -> None:
    async with drawing(tmp_path, policy={"shadow": True}) as (proxy, _):
        await proxy.forget(NAME, kind="style")
        for path, body in ASKING:
            assert (await proxy.raw(path, body)).status == 200
