"""Answers that a backend hands back when the bytes are its own: a whole body, a stream, an error; and a count of
calls under way.

It does not know how the bytes came about, nor OpenAI shapes beyond the error body. `chunks()` of every answer may be
read once; `aclose()` may come at any time, more than once, also from another task than the reader.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

import orjson

from guardrail.errors import ApiError, overloaded

JSON_HEADERS: tuple[tuple[bytes, bytes], ...] = ((b"content-type", b"application/json"),)
SSE_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
)


def _nothing() -> None:
    return None


class WholeAnswer:
    """A body that is already there."""

    def __init__(
        self, body: bytes, *, status: int = 200, headers: Sequence[tuple[bytes, bytes]] = JSON_HEADERS
    ) -> None:
        self.status = status
        self.headers: Sequence[tuple[bytes, bytes]] = (*headers, (b"content-length", str(len(body)).encode()))
        self._body = body

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body in one piece (nothing after `aclose`)."""
        body, self._body = self._body, b""
        if body:
            yield body

    async def aclose(self) -> None:
        """Drop the body."""
        self._body = b""


class StreamAnswer:
    """An SSE stream made by `source`. `on_close` is called exactly once, when the stream ends or is closed."""

    def __init__(
        self,
        source: AsyncIterator[bytes],
        *,
        on_close: Callable[[], None] = _nothing,
        headers: Sequence[tuple[bytes, bytes]] = SSE_HEADERS,
    ) -> None:
        self.status = 200
        self.headers = headers
        self._source = source
        self._on_close = on_close
        self._closed = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """The source's bytes until it ends or the answer is closed."""
        try:
            async for chunk in self._source:
                if self._closed:
                    return
                yield chunk
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """End the stream; what works behind it is told to stop."""
        if not self._closed:
            self._closed = True
            self._on_close()


def error_body(error: ApiError) -> bytes:
    """The four-key OpenAI error body."""
    fields = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return orjson.dumps({"error": fields})


def error_answer(error: ApiError) -> WholeAnswer:
    """An error of the backend itself (400, 404 ...) as the answer to a call."""
    headers = list(JSON_HEADERS)
    if error.retry_after_s is not None:
        headers.append((b"retry-after", f"{error.retry_after_s:g}".encode()))
    if error.should_retry is not None:
        headers.append((b"x-should-retry", b"true" if error.should_retry else b"false"))
    return WholeAnswer(error_body(error), status=error.status, headers=headers)


class InFlight:
    """How many calls a backend has under way, and the bound on it."""

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self.count = 0

    def enter(self) -> None:
        """Count a call in; raises 503 with `retry-after` when the backend has as many as it may."""
        if self.count >= self._limit:
            raise overloaded(f"The backend '{self._name}' already has {self._limit} requests under way. Retry soon.")
        self.count += 1

    def leave(self) -> None:
        """Count a call out."""
        self.count -= 1
