"""The data plane as an ASGI app: routing, bodies in pieces, callers who leave, and failures that nobody foresaw."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from guardrail.api import models, passthrough
from guardrail.api.data_plane import ENDPOINTS, find_endpoint
from guardrail.api.endpoint import decode_object
from guardrail.app import Proxy
from guardrail.backends.echo import Echo
from guardrail.errors import ApiError
from guardrail.settings import BackendSettings, parse

SECRET = "Mira Quelle"
CHAT = {"model": "echo", "messages": [{"role": "user", "content": f"Who is {SECRET}?"}]}


class Call:
    """One exchange with the app; `messages` are what the server hands in, one by one, and then nothing."""

    def __init__(self, path: str, *messages: MutableMapping[str, Any], method: str = "POST", **headers: str) -> None:
        pairs = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
        self.scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": pairs,
        }
        self._waiting = list(messages)
        self.sent: list[MutableMapping[str, Any]] = []

    async def receive(self) -> MutableMapping[str, Any]:
        if not self._waiting:
            await asyncio.Event().wait()
        return self._waiting.pop(0)

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])


def piece(body: bytes, *, more: bool = False) -> MutableMapping[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def all_of(body: Any) -> MutableMapping[str, Any]:
    return piece(orjson.dumps(body))


LEFT: MutableMapping[str, Any] = {"type": "http.disconnect"}


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[Proxy]:
    def odd(body: Any) -> str:
        if "break" in body:
            raise KeyError(SECRET)
        return "fine"

    backend = BackendSettings(name="echo", kind="echo")
    settings = parse({"retrieval": {"data_dir": str(tmp_path)}})
    made = Proxy(settings, backends=[(backend, Echo(backend, script=odd))])
    await made.start()
    yield made
    await made.stop()


async def answered(proxy: Proxy, call: Call) -> Call:
    await proxy.data_app(call.scope, call.receive, call.send)
    return call


def metric(proxy: Proxy, name: str) -> float:
    lines = [line for line in proxy.metrics_text().decode().splitlines() if line.startswith(name + " ")]
    return float(lines[0].rsplit(" ", 1)[1]) if lines else 0.0


def test_paths_lead_to_endpoints() -> None:
    assert all(find_endpoint(path, "POST") is endpoint for path, endpoint in ENDPOINTS.items())
    assert find_endpoint("/v1/models/org/name", "GET") is models.ENDPOINT
    assert find_endpoint("/v1/models/name", "DELETE") is passthrough.ENDPOINT
    assert find_endpoint("/v1/chat/completions/", "POST") is passthrough.ENDPOINT
    assert [find_endpoint(path, "GET") for path in ("/", "/v1", "/v10/models", "//v1/models")] == [None] * 4


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b"7", b'{"a":1}x', b"\xff", b'{"a":"\xff"}', b"{'a':1}"])
def test_other_bytes_than_a_json_object_are_400(raw: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        decode_object(raw)
    assert caught.value.status == 400
    assert caught.value.code == ("invalid_encoding" if b"\xff" in raw else "invalid_json")


async def test_a_body_may_come_in_pieces(proxy: Proxy) -> None:
    raw = orjson.dumps(CHAT)
    call = await answered(proxy, Call("/v1/chat/completions", piece(raw[:9], more=True), piece(raw[9:])))
    assert (call.status, call.sent[-1].get("more_body", False)) == (200, False)


@pytest.mark.parametrize("given", ["", "x" * 129, "caf\xe9", "a\x7fb"])
async def test_a_request_id_that_cannot_be_repeated_is_replaced(proxy: Proxy, given: str) -> None:
    call = await answered(proxy, Call("/v1/chat/completions", all_of(CHAT), x_request_id=given))
    (echoed,) = [value for name, value in call.sent[0]["headers"] if name == b"x-request-id"]
    assert echoed.startswith(b"req_")


async def test_a_failure_that_nobody_foresaw_is_a_500_without_its_words(
    proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    call = await answered(proxy, Call("/v1/chat/completions", all_of({**CHAT, "break": True})))
    assert (call.status, orjson.loads(call.body)["error"]["code"]) == (500, "internal_error")
    assert SECRET.encode() not in call.body
    assert "KeyError" in caplog.text
    assert SECRET not in caplog.text


async def test_a_caller_who_leaves_while_sending_is_no_error(proxy: Proxy) -> None:
    call = await answered(proxy, Call("/v1/chat/completions", piece(b"{", more=True), LEFT))
    assert call.sent == []
    assert metric(proxy, 'expunge_requests_total{endpoint="chat_completions",status="499"}') == 1
    assert metric(proxy, 'expunge_client_disconnects_total{endpoint="chat_completions"}') == 1


async def test_a_caller_who_leaves_while_waiting_ends_the_work(proxy: Proxy) -> None:
    call = Call("/v1/chat/completions", all_of({**CHAT, "echo_delay_s": 60}), LEFT)
    await answered(proxy, call)
    assert call.sent == []
    assert metric(proxy, "expunge_requests_in_flight") == 0


async def test_a_server_that_stops_is_not_taken_for_a_caller_who_left(proxy: Proxy) -> None:
    call = Call("/v1/chat/completions", all_of({**CHAT, "echo_delay_s": 60}))
    task = asyncio.create_task(answered(proxy, call))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert metric(proxy, 'expunge_client_disconnects_total{endpoint="chat_completions"}') == 0


async def test_what_is_not_http_is_turned_away(proxy: Proxy) -> None:
    call = Call("/v1/realtime")
    call.scope["type"] = "websocket"
    await answered(proxy, call)
    assert call.sent == [{"type": "websocket.close", "code": 1003}]


async def test_a_declared_length_over_the_limit_is_told_before_anything_is_read(proxy: Proxy) -> None:
    limit = proxy.settings.server.max_body_bytes
    call = await answered(proxy, Call("/v1/chat/completions", content_length=str(limit + 1)))
    assert call.status == 413
