"""Sending an answer over ASGI: whole, or chunk by chunk with keep-alive comments while the backend is silent.

A comment is sent only between events, so that it never lands inside one. `await send` per chunk is the backpressure.
Whole answers always leave with their length and event streams always with the same headers, whoever wrote them: how an
answer leaves must not tell whether it was inspected.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import aclosing
from typing import Any, cast

from guardrail.errors import ApiError, BackendError
from guardrail.openai_wire.errors import error_body, error_event, error_headers
from guardrail.openai_wire.sse import KEEP_ALIVE
from guardrail.replies import STREAM_HEADERS, Headers, Outgoing

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
BUFFERED_BYTES = 1024 * 1024
"""A JSON answer up to this size is gathered before it leaves: one that breaks off is then a clean error."""


def internal_error() -> ApiError:
    """500 without details."""
    return ApiError("The server had an error.", status=500, type="server_error", code="internal_error")


class Sender:
    """One answer's way out. `own_headers` go with every answer; `status` is what was sent, None before that."""

    def __init__(self, send: Send, own_headers: Headers, *, keep_alive_s: float) -> None:
        self._asgi_send = send
        self._own_headers = own_headers
        self._keep_alive_s = keep_alive_s
        self.status: int | None = None

    async def run(self, outgoing: Outgoing) -> None:
        """Send status, headers and body. Raises what a body raises that has begun to leave and is not a stream."""
        if isinstance(outgoing.body, bytes):
            await self._whole(outgoing.status, outgoing.headers, outgoing.body)
            return
        async with aclosing(cast("Any", outgoing.body)) as chunks:
            kind = _content_type(outgoing.headers)
            if kind.startswith(b"text/event-stream"):
                await self._start(outgoing.status, _with_stream_headers(outgoing.headers))
                await _Stream(self._send, self._keep_alive_s).run(chunks)
            elif kind.startswith(b"application/json"):
                await self._gathered(outgoing.status, outgoing.headers, chunks)
            else:
                await self._chunked(outgoing.status, outgoing.headers, chunks)

    async def _send(self, body: bytes, more: bool) -> None:
        await self._asgi_send({"type": "http.response.body", "body": body, "more_body": more})

    async def _start(self, status: int, headers: Headers) -> None:
        self.status = status
        await self._asgi_send(
            {"type": "http.response.start", "status": status, "headers": [*headers, *self._own_headers]}
        )

    async def _whole(self, status: int, headers: Headers, body: bytes) -> None:
        await self._start(status, [*headers, (b"content-length", str(len(body)).encode())])
        await self._send(body, False)

    async def _gathered(self, status: int, headers: Headers, chunks: AsyncIterator[bytes]) -> None:
        pieces: list[bytes] = []
        size = 0
        try:
            async for chunk in chunks:
                if self.status is not None:
                    await self._send(chunk, True)
                    continue
                pieces.append(chunk)
                size += len(chunk)
                if size > BUFFERED_BYTES:
                    await self._start(status, headers)
                    await self._send(b"".join(pieces), True)
                    pieces.clear()
        except BackendError as error:
            await self._tell(error)
            return
        if self.status is None:
            await self._whole(status, headers, b"".join(pieces))
        else:
            await self._send(b"", False)

    async def _tell(self, error: BackendError) -> None:
        """A backend that broke off: a clean error while nothing has been sent; afterwards raised on."""
        if self.status is not None:
            raise error
        await self._whole(error.status, error_headers(error), error_body(error))

    async def _chunked(self, status: int, headers: Headers, chunks: AsyncIterator[bytes]) -> None:
        """Any other body, as it comes; one that breaks off before its first byte is a clean error."""
        try:
            async for chunk in chunks:
                if self.status is None:
                    await self._start(status, headers)
                await self._send(chunk, True)
        except BackendError as error:
            await self._tell(error)
            return
        if self.status is None:
            await self._start(status, headers)
        await self._send(b"", False)


class _Stream:
    """One event stream to the caller, whose head has been sent."""

    def __init__(self, send: Callable[[bytes, bool], Awaitable[None]], keep_alive_s: float) -> None:
        self._send = send
        self._keep_alive_s = keep_alive_s
        self._between_events = True
        self._sent_at = 0.0

    async def run(self, chunks: AsyncIterator[bytes]) -> None:
        """Send every chunk; a failure becomes an error event, an unforeseen one is raised after it."""
        loop = asyncio.get_running_loop()
        self._sent_at = loop.time()
        keeper = loop.create_task(self._keep_alive())
        try:
            async for chunk in chunks:
                self._between_events = False
                await self._send(chunk, True)
                self._sent_at = loop.time()
                self._between_events = chunk.endswith((b"\n\n", b"\r\n\r\n"))
        except ApiError as error:
            await self._send(error_event(error), True)
        except Exception:
            await self._send(error_event(internal_error()), False)
            raise
        finally:
            keeper.cancel()
        await self._send(b"", False)

    async def _keep_alive(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            silence_s = loop.time() - self._sent_at
            if silence_s < self._keep_alive_s:
                await asyncio.sleep(self._keep_alive_s - silence_s)
                continue
            self._sent_at = loop.time()
            if self._between_events:
                await self._send(KEEP_ALIVE, True)


def _content_type(headers: Headers) -> bytes:
    return next((value for name, value in headers if name.lower() == b"content-type"), b"")


def _with_stream_headers(headers: Headers) -> Sequence[tuple[bytes, bytes]]:
    """The headers with those that every event stream carries."""
    present = {name.lower() for name, _ in headers}
    return [*headers, *(pair for pair in STREAM_HEADERS if pair[0] not in present)]
