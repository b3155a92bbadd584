"""Server-sent events: cutting a byte stream into events, and writing one.

Works on bytes and keeps every event's own bytes, so that what is not changed leaves exactly as it came. Knows nothing
of what the data means. WHATWG HTML, section 9.2 (LF, CRLF and CR line ends; several `data:` lines join with LF; a byte
order mark before the first event is no part of it).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LONGEST_BLANK_LINE_BYTES = 4


@dataclass(slots=True)
class SseEvent:
    """One event: its bytes as they came, and its data (None where there is none, as in a comment)."""

    raw: bytes
    data: bytes | None
    name: bytes | None = None

    @property
    def is_done(self) -> bool:
        """True for the end marker of OpenAI's streams."""
        return self.data is not None and self.data.strip() == b"[DONE]"


class SseSplitter:
    """Feed chunks, get events. `limit_bytes` bounds an event that does not end; `overflow` tells that it was passed."""

    def __init__(self, limit_bytes: int) -> None:
        self._buffer = b""
        self._limit = limit_bytes

    @property
    def overflow(self) -> bool:
        """True if an unfinished event is longer than the limit."""
        return len(self._buffer) > self._limit

    def push(self, chunk: bytes) -> list[SseEvent]:
        """Events completed by `chunk`."""
        seen = max(0, len(self._buffer) - _LONGEST_BLANK_LINE_BYTES)
        buffer = self._buffer + chunk if self._buffer else chunk
        events: list[SseEvent] = []
        start = 0
        if b"\r" in buffer:
            for match in _BLANK_LINE.finditer(buffer, seen):
                events.append(_parse(buffer[start : match.end()]))
                start = match.end()
        else:
            while (blank := buffer.find(b"\n\n", max(start, seen))) >= 0:
                events.append(_parse(buffer[start : blank + 2]))
                start = blank + 2
        self._buffer = buffer[start:] if start else buffer
        return events

    def rest(self) -> bytes:
        """Bytes after the last complete event."""
        return self._buffer

    def end(self) -> list[SseEvent]:
        """The stream is over: what is left, as an event of its own. Some clients read it as one."""
        rest, self._buffer = self._buffer, b""
        return [_parse(rest)] if rest else []


def _parse(raw: bytes) -> SseEvent:
    if raw.startswith(b"data: {") and raw.endswith(b"\n\n") and raw.find(b"\n") == len(raw) - 2 and b"\r" not in raw:
        return SseEvent(raw, raw[6:-2])
    data: list[bytes] = []
    name = None
    for line in _LINE_END.split(raw.removeprefix(_BYTE_ORDER_MARK)):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    joined = b"\n".join(data)
    return SseEvent(raw, joined if joined.strip() else None, name)


def write_event(body: Any, *, name: bytes | None = None) -> bytes:
    """The bytes of one event; Responses events carry their type as the event's name."""
    head = b"event: " + name + b"\n" if name else b""
    return head + b"data: " + orjson.dumps(body) + b"\n\n"


def write_stream(bodies: Iterable[Mapping[str, Any]]) -> bytes:
    """A whole synthetic stream. Events with a `type` (Responses) are named by it and end without `[DONE]`."""
    frames: list[bytes] = []
    typed = False
    for body in bodies:
        kind = body.get("type")
        typed = isinstance(kind, str)
        frames.append(write_event(body, name=kind.encode() if isinstance(kind, str) else None))
    return b"".join(frames if typed else [*frames, DONE])
