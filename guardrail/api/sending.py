"""Sending an answer over ASGI: whole, or chunk by chunk with keep-alive comments while the backend is silent.

A comment is sent only between events, so that it never lands inside one. `await send` per chunk is the backpressure.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import aclosing
from typing import Any, cast

from guardrail.errors import ApiError, BackendError
from guardrail.openai_wire.errors import error_body, error_event
from guardrail.openai_wire.sse import KEEP_ALIVE
from guardrail.replies import Outgoing

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def send_outgoing(
    send: Send, outgoing: Outgoing, headers: Sequence[tuple[bytes, bytes]], *, keep_alive_s: float
) -> None:
    """Send status, headers and body."""
    if isinstance(outgoing.body, bytes):
        length = (b"content-length", str(len(outgoing.body)).encode())
        await send({"type": "http.response.start", "status": outgoing.status, "headers": [*headers, length]})
        await send({"type": "http.response.body", "body": outgoing.body})
        return
    is_stream = any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers
    )
    body = cast("Any", outgoing.body)
    async with aclosing(body) as chunks:
        if is_stream:
            await _Stream(send, keep_alive_s).run(outgoing.status, headers, chunks)
        else:
            await _send_chunks(send, outgoing.status, headers, chunks)


async def _send_chunks(
    send: Send, status: int, headers: Sequence[tuple[bytes, bytes]], chunks: AsyncIterator[bytes]
) -> None:
    """A body that is not a stream of events: one that breaks off before its first byte becomes a clean error."""
    started = False
    try:
        async for chunk in chunks:
            if not started:
                await send({"type": "http.response.start", "status": status, "headers": headers})
                started = True
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except BackendError as error:
        if started:
            raise
        status, headers = error.status, [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": error_body(error)})
        return
    if not started:
        await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


class _Stream:
    """One event stream to the caller."""

    def __init__(self, send: Send, keep_alive_s: float) -> None:
        self._send = send
        self._keep_alive_s = keep_alive_s
        self._between_events = True
        self._sent_at = 0.0

    async def run(self, status: int, headers: Sequence[tuple[bytes, bytes]], chunks: AsyncIterator[bytes]) -> None:
        loop = asyncio.get_running_loop()
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        self._sent_at = loop.time()
        keeper = loop.create_task(self._keep_alive())
        try:
            async for chunk in chunks:
                self._between_events = False
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
                self._sent_at = loop.time()
                self._between_events = chunk.endswith(b"\n\n") or chunk.endswith(b"\r\n\r\n")
        except ApiError as error:
            await self._send({"type": "http.response.body", "body": error_event(error), "more_body": True})
        finally:
            keeper.cancel()
        await self._send({"type": "http.response.body", "body": b""})

    async def _keep_alive(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._keep_alive_s)
            if self._between_events and loop.time() - self._sent_at >= self._keep_alive_s:
                self._sent_at = loop.time()
                await self._send({"type": "http.response.body", "body": KEEP_ALIVE, "more_body": True})
