"""Forward: a request as the flow sees it, sent to its backend with or without treatment.

Requests that nothing is forgotten for are relayed byte by byte; only a renamed model makes them be read and rewritten.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from guardrail.backends.protocol import BackendAnswer, BackendCall
from guardrail.backends.router import Route
from guardrail.decision import Caller, TreatedRequest
from guardrail.errors import BackendError
from guardrail.inspection import renamed
from guardrail.openai_wire.protocol import WireFormat
from guardrail.openai_wire.sse import SseSplitter, write_event
from guardrail.replies import Outgoing
from guardrail.streaming.relay import read_all, relay_raw

_ERROR_BYTES = 64 * 1024
_RENAME_BYTES = 64 * 1024 * 1024
_OWN_HEADERS = frozenset(
    {b"content-length", b"content-encoding", b"transfer-encoding", b"date", b"server", b"x-request-id"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A received request: decoded body and own bytes, who asks, and what may be passed on of its headers."""

    wire: WireFormat
    body: Mapping[str, Any]
    raw: bytes
    caller: Caller
    request_id: str
    query: str = ""
    headers: Sequence[tuple[bytes, bytes]] = field(default=())
    explain: bool = False


async def send(request: Request, route: Route, treated: TreatedRequest) -> BackendAnswer:
    """Send a treated request. An error answer under a treatment is told without the backend's words: they may repeat
    the prompt as the model saw it."""
    answer = await route.backend.send(_call(request, route, treated.body, treated.raw))
    if answer.status >= 400 and treated.body is not request.body:
        status = answer.status
        await read_all(answer, max_bytes=_ERROR_BYTES)
        raise BackendError(
            "The backend refused the request; its size or one of its fields may not fit the model.",
            status=status,
            type="invalid_request_error" if status < 500 else "server_error",
            code="backend_refused",
        )
    return answer


async def send_untouched(request: Request, route: Route) -> Outgoing:
    """Relay a request byte by byte."""
    answer = await route.backend.send(_call(request, route, request.body, request.raw))
    stream = request.body.get("stream") is True and answer.status < 400
    body: AsyncIterator[bytes] | bytes = relay_raw(answer, is_stream=stream)
    if route.is_renamed and answer.status < 400:
        body = _renamed_stream(answer, route) if stream else await _renamed_whole(answer, route)
    return Outgoing(status=answer.status, headers=answered_headers(answer, request, None), body=body)


def answered_headers(
    answer: BackendAnswer, request: Request, explained: Mapping[str, object] | None
) -> list[tuple[bytes, bytes]]:
    """The backend's headers as they may leave, and the decision for an admin who asked."""
    headers = [(name, value) for name, value in answer.headers if name.lower() not in _OWN_HEADERS]
    if explained is not None:
        headers.append((b"x-expunge-decision", orjson.dumps(explained)))
    del request
    return headers


def _call(request: Request, route: Route, body: Mapping[str, Any], raw: bytes) -> BackendCall:
    if route.is_renamed:
        raw = orjson.dumps({**body, "model": route.upstream_model})
    return BackendCall(
        path=request.wire.path,
        body=raw,
        query=request.query,
        headers=request.headers,
        model=route.upstream_model,
        stream=body.get("stream") is True,
        fair_key=request.caller.key_id or request.caller.tenant,
    )


async def _renamed_whole(answer: BackendAnswer, route: Route) -> bytes:
    raw = await read_all(answer, max_bytes=_RENAME_BYTES)
    value = orjson.loads(raw)
    return orjson.dumps(value) if isinstance(value, dict) and renamed(value, route.model) else raw


async def _renamed_stream(answer: BackendAnswer, route: Route) -> AsyncIterator[bytes]:
    splitter = SseSplitter(_RENAME_BYTES)
    async for chunk in relay_raw(answer, is_stream=True):
        out: list[bytes] = []
        for event in splitter.push(chunk):
            value = orjson.loads(event.data) if event.data is not None and event.data[:1] == b"{" else None
            out.append(write_event(value, name=event.name) if value and renamed(value, route.model) else event.raw)
        if out:
            yield b"".join(out)
    if splitter.rest():
        yield splitter.rest()
