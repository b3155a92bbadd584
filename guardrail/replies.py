"""Answers that Expunge gives itself: open refusals and substitutes, whole or streamed, in the endpoint's own shape."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import orjson

from guardrail.decision import RefusalStyle, TreatmentPlan
from guardrail.errors import ApiError
from guardrail.openai_wire.protocol import Body, Reply, WireFormat, fresh_id
from guardrail.openai_wire.sse import DONE, write_event

Headers = Sequence[tuple[bytes, bytes]]
STREAM_HEADERS: Headers = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
JSON_HEADERS: Headers = ((b"content-type", b"application/json"),)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """What leaves: status, headers, and the body as bytes or as a stream of bytes."""

    body: bytes | AsyncIterator[bytes]
    status: int = 200
    headers: Headers = field(default=JSON_HEADERS)


def speak(wire: WireFormat, body: Body, plan: TreatmentPlan) -> Outgoing:
    """The plan's own answer. An `error` refusal raises `ApiError` (400, not to be retried)."""
    text = plan.answer or ""
    if plan.refusal is RefusalStyle.ERROR:
        raise ApiError(text, status=400, code="content_policy_violation", should_retry=False)
    reply = Reply(text=text, refusal=plan.refusal is RefusalStyle.MESSAGE)
    answer_id, created = fresh_id(), int(time.time())
    if body.get("stream") is not True:
        return Outgoing(body=orjson.dumps(wire.reply(body, reply, answer_id=answer_id, created=created)))
    events = wire.reply_events(body, reply, answer_id=answer_id, created=created)
    named = wire.name == "responses"
    frames = [write_event(event, name=str(event["type"]).encode() if named else None) for event in events]
    return Outgoing(body=_once(b"".join([*frames, b"" if named else DONE])), headers=STREAM_HEADERS)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
