"""Server-sent events: cutting a byte stream into events, and writing one.

Works on bytes and keeps every event's own bytes, so that what is not changed leaves exactly as it came. Knows nothing
of what the data means. WHATWG HTML, section 9.2 (LF, CRLF and CR line ends; several `data:` lines join with LF).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
_BLANK_LINE = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, kw_only=True, slots=True)
class SseEvent:
    """One event: its bytes as they came, and its data (None for a pure comment)."""

    raw: bytes
    data: bytes | None
    name: bytes | None = None


class SseSplitter:
    """Feed chunks, get events. `limit_bytes` bounds an event that does not end; `overflow` tells that it was passed."""

    def __init__(self, limit_bytes: int) -> None:
        self._buffer = b""
        self._limit = limit_bytes

    @property
    def overflow(self) -> bool:
        """True if an unfinished event is longer than the limit."""
        return len(self._buffer) > self._limit

    def push(self, chunk: bytes) -> Iterator[SseEvent]:
        """Events completed by `chunk`."""
        buffer = self._buffer + chunk if self._buffer else chunk
        start = 0
        for match in _BLANK_LINE.finditer(buffer):
            yield _parse(buffer[start : match.end()])
            start = match.end()
        self._buffer = buffer[start:]

    def rest(self) -> bytes:
        """Bytes after the last complete event."""
        return self._buffer


def _parse(raw: bytes) -> SseEvent:
    if raw.startswith(b"data: ") and raw.endswith(b"\n\n") and raw.find(b"\n", 0, -2) < 0 and b"\r" not in raw:
        return SseEvent(raw=raw, data=raw[6:-2])
    data: list[bytes] = []
    name = None
    for line in _LINE_END.split(raw):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return SseEvent(raw=raw, data=b"\n".join(data) if data else None, name=name)


def write_event(body: Any, *, name: bytes | None = None) -> bytes:
    """The bytes of one event; Responses events carry their type as the event's name."""
    head = b"event: " + name + b"\n" if name else b""
    return head + b"data: " + orjson.dumps(body) + b"\n\n"
