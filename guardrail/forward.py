"""Forward: a request as the flow sees it, sent to its backend with or without treatment.

Requests that nothing is forgotten for are relayed byte by byte. Where the public model name is not the backend's own, the
name alone is exchanged, on the way there and back; every other byte stays.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, cast

import orjson

from guardrail.backends.protocol import BackendAnswer, BackendCall
from guardrail.backends.router import Route
from guardrail.decision import Caller, TreatedRequest
from guardrail.errors import BackendError
from guardrail.openai_wire.choices import wants_usage
from guardrail.openai_wire.errors import error_event
from guardrail.openai_wire.json_bytes import replace_string
from guardrail.openai_wire.protocol import WireFormat
from guardrail.openai_wire.sse import SseSplitter
from guardrail.replies import Outgoing
from guardrail.streaming.relay import read_all, relay_raw, too_long

_ERROR_BYTES = 64 * 1024
_RENAME_BYTES = 64 * 1024 * 1024
_OWN_HEADERS = frozenset({b"content-length", b"transfer-encoding", b"date", b"server", b"x-request-id"})
_CALLERS_FAULT = frozenset({400, 404, 413, 415, 422})
_COUNT_LIMIT_S = 2.0
_MODEL_PLACES = (("model",), ("response", "model"))


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """An answer under way, and what the caller's own prompt counts, where a treatment changed it and the backend tells."""

    answer: BackendAnswer
    own_prompt_tokens: int | None = None


async def send_counted(request: Request, route: Route, treated: TreatedRequest) -> Sent:
    """`send`, and beside it a count of the caller's own prompt, so that `usage` does not tell of a treatment."""
    is_told = request.body.get("stream") is not True or wants_usage(request.body)
    if treated.body is request.body or not is_told:
        return Sent(answer=await send(request, route, treated))
    counting = asyncio.create_task(_own_prompt_tokens(request, route))
    try:
        answer = await send(request, route, treated)
    except BaseException:
        counting.cancel()
        raise
    return Sent(answer=answer, own_prompt_tokens=await counting)


async def _own_prompt_tokens(request: Request, route: Route) -> int | None:
    try:
        async with asyncio.timeout(_COUNT_LIMIT_S):
            return await route.backend.count_prompt(_call(request, route, request.body, request.raw))
    except TimeoutError:
        return None


async def send(request: Request, route: Route, treated: TreatedRequest) -> BackendAnswer:
    """Send a treated request.

    The backend's words on a treated request may repeat the prompt as the model saw it, so they are never told. A caller
    whose own request is at fault gets the backend's answer to that request, as he would without any treatment.
    """
    call = replace(_call(request, route, treated.body, treated.raw), has_embeds=treated.has_embeds)
    answer = await route.backend.send(call)
    if answer.status < 400 or treated.body is request.body:
        return answer
    await read_all(answer, max_bytes=_ERROR_BYTES)
    if answer.status in _CALLERS_FAULT:
        own = await route.backend.send(_call(request, route, request.body, request.raw))
        if own.status >= 400:
            return own
        await own.aclose()
    raise _refused(answer)


def _refused(answer: BackendAnswer) -> BackendError:
    status = answer.status
    kind = "rate_limit_error" if status == 429 else "invalid_request_error" if status < 500 else "server_error"
    waits = [value for name, value in answer.headers if name.lower() == b"retry-after" and value.isdigit()]
    return BackendError(
        "The backend refused the request; its size or one of its fields may not fit the model."
        if status < 500 and status != 429
        else "The backend cannot take this request at the moment.",
        status=status,
        type=kind,
        code="backend_refused",
        retry_after_s=float(waits[0]) if waits else None,
    )


async def send_untouched(request: Request, route: Route) -> Outgoing:
    """Relay a request byte by byte."""
    answer = await route.backend.send(_call(request, route, request.body, request.raw))
    body = await relayed(answer, route, is_stream=request.body.get("stream") is True)
    return Outgoing(status=answer.status, headers=answered_headers(answer), body=body)


async def relayed(answer: BackendAnswer, route: Route, *, is_stream: bool) -> AsyncIterator[bytes] | bytes:
    """An answer's own bytes, with the public model name in place of the backend's."""
    is_stream = is_stream and answer.status < 400
    if not route.is_renamed or answer.status >= 400:
        return relay_raw(answer, is_stream=is_stream)
    if is_stream:
        return _renamed_stream(answer, route)
    return _renamed(await read_all(answer, max_bytes=_RENAME_BYTES), route)


async def ask_model(route: Route, prompt: str, *, max_tokens: int) -> str:
    """What the served model itself answers to a prompt, untreated: for what Expunge asks, never for a caller.

    Raises `ApiError` if it cannot be asked, or says nothing that can be read.
    """
    body = {
        "model": route.upstream_model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": max_tokens,
        "temperature": 0,
    }
    raw = orjson.dumps({key: value for key, value in body.items() if value is not None})
    answer = await route.backend.send(
        BackendCall(path="/v1/chat/completions", body=raw, model=route.upstream_model, fair_key="expunge")
    )
    whole = await read_all(answer, max_bytes=_ERROR_BYTES)
    if answer.status >= 400:
        raise BackendError("The backend refused a question of Expunge itself.", status=502, code="backend_refused")
    try:
        said = orjson.loads(whole)["choices"][0]["message"]["content"]
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError):
        raise BackendError("The backend's answer to Expunge itself cannot be read.", status=502) from None
    return said if isinstance(said, str) else ""


def answered_headers(answer: BackendAnswer) -> list[tuple[bytes, bytes]]:
    """The backend's headers as they may leave."""
    return [(name, value) for name, value in answer.headers if name.lower() not in _OWN_HEADERS]


def explained(decision: Mapping[str, object]) -> list[tuple[bytes, bytes]]:
    """The decision as a header, for an admin who asked; ids may hold any letters, so the JSON is ASCII."""
    return [(b"x-expunge-decision", json.dumps(decision, separators=(",", ":")).encode("ascii"))]


def renamed_call(raw: bytes, route: Route) -> bytes:
    """A request's bytes with the backend's own model name."""
    if not route.is_renamed or route.upstream_model is None:
        return raw
    return replace_string(raw, [("model",)], route.upstream_model)


def _call(request: Request, route: Route, body: Mapping[str, Any], raw: bytes) -> BackendCall:
    return BackendCall(
        path=request.wire.path,
        body=renamed_call(raw, route),
        query=request.query,
        headers=request.headers,
        model=route.upstream_model,
        stream=body.get("stream") is True,
        fair_key=request.caller.key_id or request.caller.tenant,
    )


def _renamed(raw: bytes, route: Route) -> bytes:
    return replace_string(raw, _MODEL_PLACES, route.model) if route.model is not None else raw


async def _renamed_stream(answer: BackendAnswer, route: Route) -> AsyncIterator[bytes]:
    splitter = SseSplitter(_RENAME_BYTES)
    async with aclosing(cast("AsyncGenerator[bytes]", relay_raw(answer, is_stream=True))) as chunks:
        async for chunk in chunks:
            # The data is JSON, and the other lines of an event hold neither braces nor quotes.
            out = [_renamed(event.raw, route) for event in splitter.push(chunk)]
            if out:
                yield b"".join(out)
            if splitter.overflow:
                yield error_event(too_long())
                return
    if splitter.rest():
        yield splitter.rest()
