"""Delivering one inspected answer: whole or streamed, with the further attempts that a leak may call for.

The delivery knows that there is a ladder, not its rungs: what the next attempt looks like is handed in as `retry`.
An attempt -> leak, nothing sent yet -> `retry` gives either another backend answer with its own guard plan, or words to
say instead. Whether that one may be begun anew again stands in its plan; the repairs of the last end in the natural answer.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from guardrail.backends.protocol import BackendAnswer
from guardrail.errors import ApiError
from guardrail.openai_wire.errors import error_event
from guardrail.openai_wire.protocol import Body, Reply, count_tokens, fresh_id
from guardrail.openai_wire.sse import write_stream
from guardrail.openai_wire.usage import set_answer, set_prompt
from guardrail.streaming.answers import hear, inspect_answer
from guardrail.streaming.guard import StreamGuard, unreadable
from guardrail.streaming.guard_plan import GuardPlan
from guardrail.streaming.relay import read_all, relay_guarded


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One try: the backend's answer (or `words` instead of one), how to guard it, and what stands before it."""

    plan: GuardPlan
    answer: BackendAnswer | None = None
    words: str = ""
    prefix: str = ""


Retry = Callable[[], Awaitable[Attempt]]


async def deliver_whole(attempt: Attempt, retry: Retry, *, max_bytes: int) -> tuple[bytes, bool]:
    """The bytes of a whole answer, and whether the model wrote it. Untouched answers keep their bytes."""
    first: dict[str, Any] | None = None
    while attempt.answer is not None:
        raw = await read_all(attempt.answer, max_bytes=max_bytes)
        answer = _object(raw)
        if attempt.plan.jury is not None:
            await hear(attempt.plan, answer)
        result = inspect_answer(attempt.plan, answer, prefix=attempt.prefix)
        if not result.restart:
            if result.natural:
                texts = attempt.plan.wire.answer_slots(result.body)
                set_answer(result.body, sum(count_tokens(slot.text) for slot in texts))
            return (orjson.dumps(result.body) if result.changed else raw), not result.natural
        first = result.body
        attempt = await retry()
    return orjson.dumps(_in_place_of(first or {}, attempt)), False


def _in_place_of(first: dict[str, Any], attempt: Attempt) -> dict[str, Any]:
    """A fresh answer with the words, shaped as the leaking one; of that only ids, times and the prompt's usage are kept."""
    wire, original = attempt.plan.wire, attempt.plan.original
    body = wire.reply(original, Reply(text=attempt.words), answer_id="", created=0)
    for key in ("id", "created", "created_at", "model", "system_fingerprint", "usage"):
        if key in first:
            body[key] = first[key]
    set_answer(body, count_tokens(attempt.words))
    return dict(_shaped(body, first))


def _shaped(own: Any, like: Any) -> Any:
    """What we say with the fields of `like` in their order; those that we do not know say nothing."""
    if isinstance(own, dict) and isinstance(like, dict):
        known = {key: _shaped(own[key], value) if key in own else _empty(value) for key, value in like.items()}
        return known | {key: value for key, value in own.items() if key not in like and value is not None}
    if isinstance(own, list) and isinstance(like, list):
        return [_shaped(one, like[place] if place < len(like) else one) for place, one in enumerate(own)]
    return own


def _empty(value: Any) -> Any:
    return [] if isinstance(value, list) else None


async def deliver_stream(
    attempt: Attempt, retry: Retry, *, max_bytes: int, ended: Callable[[bool], None]
) -> AsyncIterator[bytes]:
    """The bytes of a streamed answer. `ended` is told at the end whether the model wrote all of it.

    A restart is asked for only while nothing has left, so the next attempt is a stream of its own.
    """
    template: Body | None = None
    prompt_tokens: int | None = None
    while attempt.answer is not None:
        guard = StreamGuard(attempt.plan, prefix=attempt.prefix)
        async for chunk in relay_guarded(attempt.answer, guard, max_held_bytes=max_bytes):
            yield chunk
        if not guard.restart:
            ended(not guard.replaced)
            return
        template, prompt_tokens = template or guard.template, attempt.plan.prompt_tokens or prompt_tokens
        try:
            attempt = await retry()
        except ApiError as error:
            yield error_event(error)
            return
    yield write_stream(_spoken(attempt, template, prompt_tokens))
    ended(False)


def _spoken(attempt: Attempt, template: Body | None, prompt_tokens: int | None) -> Sequence[Body]:
    """A stream of the attempt's own words, shaped as the stream that leaked was."""
    wire, body = attempt.plan.wire, attempt.plan.original
    reply, now = Reply(text=attempt.words), int(time.time())
    spoken = wire.reply_events(body, reply, answer_id=fresh_id(), created=now, like=template)
    events = [dict(one) for one in spoken]
    if prompt_tokens is not None:
        for event in events:
            set_prompt(event, prompt_tokens)
    return events


def _object(raw: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(raw)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        raise unreadable("an answer that is not a JSON object")
    return answer
