"""Reading request bodies: bytes within limits -> UTF-8 -> JSON, each failure a 4xx that says where and what to mend.

Knows nothing of entries. Sizes are bytes. JSON is decoded by hand, not by the framework, so that broken input gets the
OpenAI error body with its position.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request

from guardrail.errors import ApiError


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line of a stream; `number` counts from 1."""

    number: int
    raw: bytes


def too_large(limit_bytes: int, what: str = "The body") -> ApiError:
    """413."""
    return ApiError(
        f"{what} is larger than {limit_bytes} bytes; send less at once or raise server.max_body_bytes.",
        status=413,
        code="body_too_large",
    )


def decode(raw: bytes, *, what: str = "The body") -> Any:
    """Decode JSON; raises a 400 `ApiError` for bytes that are not UTF-8 and for broken JSON, with the position."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ApiError(f"{what} is not UTF-8 (byte {error.start}).", code="invalid_encoding") from None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise ApiError(f"{what} is not valid JSON: {error.msg} ({place}).", code="invalid_json") from None


def decode_object(raw: bytes, *, what: str = "The body") -> dict[str, Any]:
    """Decode a JSON object."""
    value = decode(raw, what=what)
    if not isinstance(value, dict):
        raise ApiError(f"{what} must be a JSON object.", code="invalid_json")
    return value


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """The whole body; raises 413 as soon as it is known to be too large."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit_bytes:
        raise too_large(limit_bytes)
    parts: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit_bytes:
            raise too_large(limit_bytes)
        parts.append(chunk)
    return b"".join(parts)


async def read_lines(chunks: AsyncIterator[bytes], *, line_limit_bytes: int) -> AsyncIterator[Line]:
    """The stream's lines without blank ones; raises 413 for a line beyond the limit."""
    rest = bytearray()
    number = 0
    async for chunk in chunks:
        rest += chunk
        if b"\n" in chunk:
            *whole, tail = bytes(rest).split(b"\n")
            rest = bytearray(tail)
            for raw in whole:
                number += 1
                if len(raw) > line_limit_bytes:
                    raise too_large(line_limit_bytes, f"Line {number}")
                if raw.strip():
                    yield Line(number=number, raw=raw.strip())
        if len(rest) > line_limit_bytes:
            raise too_large(line_limit_bytes, f"Line {number + 1}")
    if rest.strip():
        yield Line(number=number + 1, raw=bytes(rest).strip())
