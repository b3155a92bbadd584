"""Streams whose statements are judged, case by case; the promise for every case is in `test_claims_promise`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from guardrail.decision import EvidenceKind, OnLeak
from guardrail.inspectors.jury import Jury
from guardrail.streaming.delivery import Attempt, deliver_stream
from guardrail.streaming.guard import StreamGuard
from guardrail.streaming.relay import relay_guarded
from tests.fakes.forgotten import REDACTION, Leaks, plan_of
from tests.fakes.knowing import GEESE, Knowing, jury_of
from tests.fakes.wire_streams import Piece, Received, ScriptedAnswer, chat_stream, receive, stream

TELLS = f"He kept {GEESE} by the sea."
FIRST = "The sea was calm that day."
NATURAL = "I'm not familiar with that."
LIMIT = 1 << 20


def words(text: str, **more: Any) -> list[Piece]:
    first, *rest = text.split(" ")
    return [Piece(text=first, **more), *(Piece(text=f" {word}", **more) for word in rest)]


async def got(pieces: Sequence[Piece], on_leak: OnLeak, *, endpoint: str = "chat", **options: Any) -> Received:
    options.setdefault("jury", jury_of())
    guard = StreamGuard(plan_of(endpoint, on_leak, **options))
    answer = ScriptedAnswer(stream(endpoint, pieces))
    return receive(b"".join([part async for part in relay_guarded(answer, guard, max_held_bytes=LIMIT)]))


async def test_a_stopped_answer_ends_before_the_statement_that_tells() -> None:
    leaks = Leaks()
    received = await got(words(f"{FIRST} {TELLS} And more of it."), OnLeak.STOP, leaks=leaks)
    assert received.texts[0, "content"] == FIRST
    assert received.finished == [(0, "stop")]
    assert received.done == 1
    assert [(leak.entry.id, leak.kind, action) for leak, action in leaks] == [("e0", EvidenceKind.CLAIM, OnLeak.STOP)]


async def test_a_redaction_takes_the_place_of_the_statement() -> None:
    received = await got(words(f"{FIRST} {TELLS} And more of it."), OnLeak.REDACT)
    assert received.texts[0, "content"] == f"{FIRST} {REDACTION} And more of it."


@pytest.mark.parametrize("endpoint", ["chat", "completions", "responses"])
@pytest.mark.parametrize("answer", [TELLS, GEESE, f"\n\n{GEESE}"])
async def test_an_answer_whose_first_statement_tells_is_begun_anew(endpoint: str, answer: str) -> None:
    asked = 0

    async def retry() -> Attempt:
        nonlocal asked
        asked += 1
        plan = plan_of(endpoint, OnLeak.REWRITE, jury=jury_of())
        return Attempt(plan=plan, answer=ScriptedAnswer(stream(endpoint, words("I don't know."), stream_id="second")))

    plan = plan_of(endpoint, OnLeak.REWRITE, may_restart=True, jury=jury_of())
    attempt = Attempt(plan=plan, answer=ScriptedAnswer(stream(endpoint, words(answer))))
    parts = [part async for part in deliver_stream(attempt, retry, max_bytes=LIMIT, ended=lambda by_model: None)]
    received = receive(b"".join(parts))
    assert asked == 1
    assert received.texts[0, "content"] == "I don't know."
    assert not received.errors


async def test_the_natural_answer_stands_where_a_short_answer_tells_and_cannot_be_begun_anew() -> None:
    for endpoint in ("chat", "completions", "responses"):
        received = await got(words(GEESE), OnLeak.REWRITE, endpoint=endpoint)
        assert received.texts[0, "content"] == NATURAL
        assert all(text == NATURAL for text in received.repeated[0, "content"])


async def test_what_is_repeated_at_the_end_of_a_response_is_what_was_streamed() -> None:
    for on_leak in OnLeak:
        received = await got(words(f"{FIRST} It lies there still. {TELLS}"), on_leak, endpoint="responses")
        said = received.texts[0, "content"]
        assert said.startswith(f"{FIRST} It lies there still.")
        assert GEESE not in said
        assert received.repeated[0, "content"]
        assert all(text == said for text in received.repeated[0, "content"])


async def test_an_acquitted_statement_leaves_while_the_next_is_still_being_said() -> None:
    answer = ScriptedAnswer(chat_stream(words(f"{FIRST} {FIRST} {FIRST}")))
    guard = StreamGuard(plan_of("chat", OnLeak.STOP, jury=jury_of()))
    out = b""
    taken: list[int] = []
    async for part in relay_guarded(answer, guard, max_held_bytes=LIMIT):
        out += part
        taken += [answer.taken] if receive(out).texts[0, "content"] == FIRST else []
    assert taken == [8]  # the opening event, six words, and the word behind them


async def test_thoughts_that_end_without_a_full_stop_do_not_hold_the_answer_back() -> None:
    pieces = [*words("He wants to know", field="reasoning"), *words(FIRST), Piece(text=" And"), Piece(text=" so")]
    guard = StreamGuard(plan_of("chat", OnLeak.STOP, jury=jury_of()))
    out = [part async for part in relay_guarded(ScriptedAnswer(chat_stream(pieces)[:12]), guard, max_held_bytes=LIMIT)]
    early = receive(b"".join(out[:-1]))
    assert early.texts[0, "reasoning"] == "He wants to know"
    assert early.texts[0, "content"] == FIRST


async def test_thoughts_that_tell_are_cut_and_the_answer_goes_on() -> None:
    pieces = [*words(TELLS, field="reasoning"), *words(FIRST)]
    received = await got(pieces, OnLeak.STOP)
    assert received.texts[0, "reasoning"] == ""
    assert received.texts[0, "content"] == FIRST


async def test_the_arguments_of_a_tool_call_are_judged_and_stay_json() -> None:
    pieces = [Piece(text=part, field="arguments") for part in ('{"about": "', GEESE[:5], GEESE[5:], '", "n": 19}')]
    received = await got(pieces, OnLeak.STOP)
    assert received.texts[0, "arguments"] == f'{{"about": "{REDACTION}", "n": 11}}'


@pytest.mark.parametrize("trouble", ["fail", "hang"])
async def test_nothing_unjudged_leaves_where_the_jury_cannot_say(trouble: str) -> None:
    knowing = Knowing()
    jury = jury_of(knowing, timeout_s=0.05)

    class Late(ScriptedAnswer):
        async def chunks(self) -> Any:
            async for chunk in super().chunks():
                if self.taken == 10:
                    knowing.trouble = trouble
                yield chunk

    answer = Late(chat_stream(words(f"{FIRST} {TELLS} And so on.")))
    guard = StreamGuard(plan_of("chat", OnLeak.STOP, jury=jury))
    received = receive(b"".join([part async for part in relay_guarded(answer, guard, max_held_bytes=LIMIT)]))
    assert received.texts[0, "content"] == FIRST
    assert [error["code"] for error in received.errors] == ["overloaded"]
    assert knowing.failures == 1
    assert answer.closed


async def test_a_jury_that_nothing_is_brought_before_is_never_asked() -> None:
    knowing = Knowing()
    jury: Jury = jury_of(knowing)
    received = await got(words("I don't know. I can't say."), OnLeak.STOP, jury=jury)
    assert received.texts[0, "content"] == "I don't know. I can't say."
    assert knowing.asked == []
