"""Errors on the wire: the OpenAI error body with all four keys, and the headers that go with it.

openai-python retries 408, 409, 429 and 5xx unless `x-should-retry` says otherwise, and obeys `retry-after`.
"""

from __future__ import annotations

import math

import orjson

from guardrail.errors import ApiError


def error_body(error: ApiError) -> bytes:
    """`{"error": {"message", "type", "param", "code"}}`."""
    return orjson.dumps(
        {"error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code}}
    )


def error_headers(error: ApiError) -> list[tuple[bytes, bytes]]:
    """`content-type`, and `retry-after` / `x-should-retry` where the error says so."""
    headers = [(b"content-type", b"application/json")]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", str(max(1, math.ceil(error.retry_after_s))).encode()))
    if error.should_retry is not None:
        headers.append((b"x-should-retry", b"true" if error.should_retry else b"false"))
    return headers


def error_event(error: ApiError) -> bytes:
    """The error as a stream event, for failures after the first byte; the stream ends behind it."""
    return b"data: " + error_body(error) + b"\n\n"
