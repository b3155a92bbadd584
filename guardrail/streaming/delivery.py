"""Delivering one inspected answer: whole or streamed, with the second attempt that a leak may call for.

The delivery knows the order of the ladder, not its words: what the second attempt looks like is handed in as `retry`.
First attempt -> leak, nothing sent yet -> `retry` gives either another backend answer with its own guard plan, or words
to say instead. A second attempt is never retried: its repairs end in the natural answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson

from guardrail.backends.protocol import BackendAnswer
from guardrail.decision import Leak
from guardrail.errors import ApiError
from guardrail.openai_wire.errors import error_event
from guardrail.openai_wire.protocol import count_tokens
from guardrail.openai_wire.sse import DONE, write_event
from guardrail.openai_wire.usage import set_answer
from guardrail.streaming.answers import inspect_answer
from guardrail.streaming.guard import GuardPlan, StreamGuard
from guardrail.streaming.relay import read_all, relay_guarded, too_long


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One try: the backend's answer (or `words` instead of one), how to guard it, and what stands before it."""

    plan: GuardPlan
    answer: BackendAnswer | None = None
    words: str = ""
    prefix: str = ""


Retry = Callable[[], Awaitable[Attempt]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a delivery; `by_model` is False if Expunge wrote the answer's text."""

    by_model: bool
    leaks: tuple[Leak, ...] = ()


async def deliver_whole(attempt: Attempt, retry: Retry, *, max_bytes: int) -> tuple[bytes, bool]:
    """The bytes of a whole answer, and whether the model wrote it. Untouched answers keep their bytes."""
    first: dict[str, Any] | None = None
    while attempt.answer is not None:
        raw = await read_all(attempt.answer, max_bytes=max_bytes)
        answer = _object(raw)
        result = inspect_answer(attempt.plan, answer, prefix=attempt.prefix)
        if not result.restart:
            if result.natural:
                texts = attempt.plan.wire.answer_slots(result.body)
                set_answer(result.body, sum(count_tokens(slot.text) for slot in texts))
            return (orjson.dumps(result.body) if result.changed else raw), not result.natural
        first = result.body
        attempt = await retry()
    body = first or {}
    for slot in attempt.plan.wire.answer_slots(body):
        attempt.plan.wire.with_reply(body, slot.key.choice, attempt.words)
        break
    set_answer(body, count_tokens(attempt.words))
    return orjson.dumps(body), False


async def deliver_stream(
    attempt: Attempt, retry: Retry, *, max_bytes: int, ended: Callable[[bool], None]
) -> AsyncIterator[bytes]:
    """The bytes of a streamed answer. `ended` is told at the end whether the model wrote all of it."""
    if attempt.answer is None:
        return
    guard = StreamGuard(attempt.plan, prefix=attempt.prefix)
    async for chunk in relay_guarded(attempt.answer, guard, max_held_bytes=max_bytes):
        yield chunk
    if guard.restart:
        identity = guard.identity()
        try:
            attempt = await retry()
        except ApiError as error:
            yield error_event(error)
            return
        if attempt.answer is None:
            yield _say(guard, attempt)
            ended(False)
            return
        guard = StreamGuard(attempt.plan, identity=identity, prefix=attempt.prefix)
        async for chunk in relay_guarded(attempt.answer, guard, max_held_bytes=max_bytes):
            yield chunk
    ended(not guard.replaced)


def _say(guard: StreamGuard, attempt: Attempt) -> bytes:
    """Words in place of an answer that has begun but said nothing yet."""
    wire, template = attempt.plan.wire, guard.template
    events = [wire.text_event(template, 0, attempt.words), *(wire.finish_events(template, 0) or ())]
    return b"".join([*map(write_event, [*events, *guard.closing_events()]), DONE])


def _object(raw: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(raw)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        error = too_long()
        error.message, error.code = "The backend's answer is not a JSON object.", "backend_unreadable"
        raise error
    return answer
