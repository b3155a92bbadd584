"""Sending: lengths, clean errors, keep-alive comments between events only, and what happens when a body breaks off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest

from guardrail.api.sending import BUFFERED_BYTES, Sender
from guardrail.errors import backend_down
from guardrail.openai_wire.sse import KEEP_ALIVE
from guardrail.replies import Outgoing
from tests.fakes.waiting import until

SSE = [(b"content-type", b"text/event-stream")]
JSON = [(b"content-type", b"application/json")]
RAW = [(b"content-type", b"audio/wav")]


class Wire:
    """Keeps what was sent."""

    def __init__(self) -> None:
        self.sent: list[MutableMapping[str, Any]] = []
        self.sender = Sender(self.send, [(b"x-request-id", b"7")], keep_alive_s=600)

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.sent.append(message)

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])

    @property
    def is_complete(self) -> bool:
        return bool(self.sent) and self.sent[-1].get("more_body") is False


async def pieces(*chunks: bytes | Exception) -> AsyncIterator[bytes]:
    for chunk in chunks:
        if isinstance(chunk, Exception):
            raise chunk
        yield chunk


async def sent(headers: Any, *chunks: bytes | Exception, status: int = 200) -> Wire:
    wire = Wire()
    await wire.sender.run(Outgoing(status=status, headers=headers, body=pieces(*chunks)))
    return wire


async def test_a_json_answer_leaves_with_its_length_however_it_came() -> None:
    whole = Wire()
    await whole.sender.run(Outgoing(body=b'{"a":1}', headers=JSON))
    in_pieces = await sent(JSON, b'{"a"', b":1}")
    assert whole.headers == in_pieces.headers
    assert (in_pieces.body, in_pieces.headers[b"content-length"]) == (b'{"a":1}', b"7")
    assert in_pieces.headers[b"x-request-id"] == b"7"
    assert whole.is_complete
    assert in_pieces.is_complete


@pytest.mark.parametrize("headers", [JSON, RAW], ids=["json", "other"])
async def test_an_empty_body_is_still_an_answer(headers: Any) -> None:
    wire = await sent(headers, status=204)
    assert (wire.status, wire.body, wire.is_complete) == (204, b"", True)


async def test_a_json_answer_that_breaks_off_is_a_clean_error() -> None:
    wire = await sent(JSON, b'{"a":', backend_down("x"))
    assert (wire.status, wire.sender.status) == (502, 502)
    assert wire.headers[b"x-request-id"] == b"7"
    assert b'"backend_unavailable"' in wire.body


async def test_a_long_answer_is_not_gathered_and_breaks_off_where_it_does() -> None:
    wire = Wire()
    chunks = pieces(b"x" * (BUFFERED_BYTES + 1), b"more", backend_down("x"))
    with pytest.raises(Exception, match="could not be reached"):
        await wire.sender.run(Outgoing(headers=JSON, body=chunks))
    assert (wire.status, len(wire.body), wire.is_complete) == (200, BUFFERED_BYTES + 5, False)
    assert b"content-length" not in wire.headers


async def test_other_bodies_leave_as_they_come() -> None:
    wire = await sent(RAW, b"a", b"b")
    assert [message["body"] for message in wire.sent[1:]] == [b"a", b"b", b""]
    wire = await sent(RAW, backend_down("x"))
    assert wire.status == 502


async def test_every_stream_has_the_same_headers() -> None:
    wire = await sent([*SSE, (b"cache-control", b"mine")], b"data: 1\n\n")
    assert wire.headers[b"cache-control"] == b"mine"
    assert wire.headers[b"x-accel-buffering"] == b"no"
    assert b"content-length" not in wire.headers


async def test_a_failure_in_a_stream_is_an_error_event() -> None:
    wire = await sent(SSE, b"data: 1\n\n", backend_down("x"))
    assert wire.body.startswith(b'data: 1\n\ndata: {"error":{"message":')
    assert wire.is_complete


async def test_an_unforeseen_failure_in_a_stream_is_told_without_its_words_and_raised() -> None:
    wire = Wire()
    with pytest.raises(ValueError, match="secret"):
        await wire.sender.run(Outgoing(headers=SSE, body=pieces(b"data: 1\n\n", ValueError("secret"))))
    assert b'"internal_error"' in wire.body
    assert b"secret" not in wire.body


async def test_a_body_is_closed_when_its_caller_is_gone() -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"data: 1\n\n"
                await asyncio.sleep(0)
        finally:
            closed.set()

    wire = Wire()
    task = asyncio.create_task(wire.sender.run(Outgoing(headers=SSE, body=endless())))
    await until(lambda: len(wire.sent) >= 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed.is_set()


async def test_comments_fill_silence_between_events_and_never_inside_one() -> None:
    async def halting() -> AsyncIterator[bytes]:
        for chunk in (b"data: 1\n\n", b"data: half", b" and half\n\n", b"data: 2\r\n\r\n"):
            yield chunk
            await asyncio.sleep(0.12)

    wire = Wire()
    wire.sender = Sender(wire.send, [], keep_alive_s=0.02)
    await wire.sender.run(Outgoing(headers=SSE, body=halting()))
    assert wire.body.count(KEEP_ALIVE) >= 3
    assert wire.body.replace(KEEP_ALIVE, b"") == b"data: 1\n\ndata: half and half\n\ndata: 2\r\n\r\n"
    assert b"data: half and half\n\n" in wire.body
