"""The stream guard and the relay around it, case by case; the promise for every case is in `test_stream_guard_promise`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from guardrail.decision import OnLeak
from guardrail.errors import BackendError
from guardrail.streaming.delivery import Attempt, deliver_stream
from guardrail.streaming.guard import StreamGuard
from guardrail.streaming.guard_plan import GuardPlan
from guardrail.streaming.relay import relay_guarded, relay_raw
from tests.fakes.forgotten import REDACTION, Leaks, leaks_in, plan_of
from tests.fakes.wire_streams import (
    Piece,
    Received,
    ScriptedAnswer,
    chat_stream,
    frame,
    receive,
    responses_stream,
    stream,
)

ADMISSION = "I'm not familiar with that person."
NATURAL = "I'm not familiar with that."
LIMIT = 1 << 20


def words(text: str, **more: Any) -> list[Piece]:
    """The text as a model would stream it: a word in a piece."""
    first, *rest = text.split(" ")
    return [Piece(text=first, **more), *(Piece(text=f" {word}", **more) for word in rest)]


async def guarded(plan: GuardPlan, chunks: Sequence[bytes], *, prefix: str = "") -> bytes:
    guard = StreamGuard(plan, prefix=prefix)
    return b"".join([part async for part in relay_guarded(ScriptedAnswer(chunks), guard, max_held_bytes=LIMIT)])


async def got(
    plan: GuardPlan, pieces: Sequence[Piece], *, endpoint: str = "chat", prefix: str = "", **options: Any
) -> Received:
    return receive(await guarded(plan, stream(endpoint, pieces, **options), prefix=prefix))


@pytest.mark.parametrize(
    "broken",
    [
        b"data: not json\n\n",
        b"data: [1]\n\n",
        b'data: {"choices": [\n\n',
        b"data: \xff{}\n\n",
        b'data: {"choices": ["x"]}\n\n',
        b'data: {"choices": [{"index": 0, "delta": "Stephen King"}]}\n\n',
        b'data: {"choices": [{"index": 0, "delta": {"tool_calls": 5}}]}\n\n',
        b'data: {"a": 1}\ndata: {"b": 2}\n\n',
    ],
)
async def test_an_event_that_cannot_be_read_ends_the_stream_with_an_error(broken: bytes) -> None:
    before = chat_stream(words("An author "))[:2]
    out = await guarded(plan_of(), [b"".join([*before, broken, *chat_stream(words("Stephen King."))])])
    received = receive(out)
    assert out.startswith(b"".join(before))
    assert received.errors[0]["code"] == "backend_unreadable"
    assert received.bodies[-1].keys() == {"error"}
    assert received.done == 0
    assert b"Stephen" not in out


async def test_the_words_of_a_backends_error_are_inspected_too() -> None:
    received = receive(
        await guarded(plan_of(), [frame({"error": {"message": "No answer about Stephen King", "code": 5}})])
    )
    assert received.errors[0]["code"] == 5
    assert not leaks_in(received.errors[0]["message"])


async def test_a_name_at_the_very_end_gives_one_finish_and_one_end_marker() -> None:
    received = await got(plan_of(on_leak=OnLeak.STOP), words("It is by Stephen King"), usage=True)
    assert received.finished == [(0, "stop")]
    assert received.done == 1
    assert received.texts[0, "content"] == "It is by ... I am not sure about that."
    assert received.bodies[-1]["usage"]["prompt_tokens"] == 3


async def test_a_name_at_the_end_of_a_stream_without_finish_is_stopped_once() -> None:
    frames = chat_stream(words("It is by Stephen King"))
    received = receive(await guarded(plan_of(on_leak=OnLeak.STOP), [*frames[:-2], frames[-1]]))
    assert received.finished == [(0, "stop")]
    assert received.done == 1


async def test_a_stopped_answer_is_complete_and_the_backend_is_let_go() -> None:
    answer = ScriptedAnswer(chat_stream(words("It is by Stephen King. " + "And more. " * 50)))
    plan = plan_of(on_leak=OnLeak.STOP, wants_usage=True)
    out = b"".join([part async for part in relay_guarded(answer, StreamGuard(plan), max_held_bytes=LIMIT)])
    received = receive(out)
    assert received.finished == [(0, "stop")]
    assert received.done == 1
    assert received.bodies[-1]["choices"] == []
    usage = received.bodies[-1]["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert answer.closed
    assert answer.taken < 12


async def test_stopping_one_choice_leaves_the_others_whole() -> None:
    text = "A quiet answer that goes on to its end."
    mixed = [
        piece
        for pair in zip(words(text), words("By Stephen King. " + "x " * 6, choice=1), strict=False)
        for piece in pair
    ]
    received = await got(plan_of(on_leak=OnLeak.STOP, body={"n": 2}), mixed)
    assert received.texts[0, "content"] == text
    assert received.texts[1, "content"] == "By ... I am not sure about that."
    assert sorted(received.finished) == [(0, "stop"), (1, "stop")]


async def test_events_that_hold_several_choices_lose_only_the_stopped_one() -> None:
    shell = {"id": "1", "created": 1, "model": "m", "object": "chat.completion.chunk"}

    def both(first: str, second: str, finish: str | None = None) -> bytes:
        texts = enumerate((first, second))
        return frame(
            {
                **shell,
                "choices": [{"index": n, "delta": {"content": text}, "finish_reason": finish} for n, text in texts],
            }
        )

    frames = [both("Steve. ", "One "), both("He wrote. ", "two "), both("Much. ", "three. "), both("", "", "length")]
    received = receive(await guarded(plan_of(on_leak=OnLeak.STOP, body={"n": 2}), frames))
    assert received.texts[0, "content"] == NATURAL
    assert received.texts[1, "content"] == "One two three. "
    assert received.finished == [(0, "stop"), (1, "length")]


async def test_where_a_sentence_has_just_ended_a_stop_needs_no_closing_words() -> None:
    received = await got(plan_of(on_leak=OnLeak.STOP), words("It is old. Stephen King."))
    assert received.texts[0, "content"].rstrip() == "It is old."


async def test_by_sentence_a_stop_takes_the_whole_sentence_back() -> None:
    received = await got(plan_of(on_leak=OnLeak.STOP, by_sentence=True), words("It is old. The man was Stephen King."))
    assert received.texts[0, "content"].rstrip() == "It is old."


async def test_a_leak_in_reasoning_cuts_the_reasoning_and_the_answer_goes_on() -> None:
    pieces = [*words("They ask for Stephen King, so", field="reasoning"), *words("The answer is four.")]
    received = await got(plan_of(on_leak=OnLeak.STOP), pieces)
    assert received.texts[0, "reasoning"] == "They ask for "
    assert received.texts[0, "content"] == "The answer is four."


async def test_reasoning_that_ends_in_the_beginning_of_a_name_does_not_hold_the_answer_up() -> None:
    guard = StreamGuard(plan_of())
    frames = chat_stream([*words("It is Stephen", field="reasoning"), *words("The answer is a long one. " * 60)])
    answer = ScriptedAnswer(frames[:-2])
    out = [part async for part in relay_guarded(answer, guard, max_held_bytes=LIMIT)]
    halfway = receive(b"".join(out[: len(out) // 2]))
    assert len(halfway.texts[0, "content"]) > 300


async def test_an_admission_leaves_and_the_assertion_behind_it_does_not() -> None:
    plan = plan_of(on_leak=OnLeak.REWRITE, ignorance=True)
    received = await got(plan, words(f"{ADMISSION} He wrote many novels. He lives in Maine."))
    assert received.texts[0, "content"].strip() == ADMISSION


async def test_an_assertion_gives_way_to_the_natural_answer() -> None:
    leaks = Leaks()
    plan = plan_of(on_leak=OnLeak.REWRITE, ignorance=True, leaks=leaks)
    guard = StreamGuard(plan)
    frames = chat_stream(words("He is an American author. He wrote novels."))
    out = [part async for part in relay_guarded(ScriptedAnswer(frames), guard, max_held_bytes=LIMIT)]
    assert receive(b"".join(out)).texts[0, "content"] == NATURAL
    assert guard.replaced
    assert [action for _, action in leaks] == [OnLeak.STOP]


async def test_a_restart_is_asked_for_only_while_nothing_has_left() -> None:
    plan = plan_of(on_leak=OnLeak.REWRITE, may_restart=True)
    early, late = StreamGuard(plan), StreamGuard(plan)
    frames = chat_stream(words("Stephen King wrote it."))
    assert [part async for part in relay_guarded(ScriptedAnswer(frames), early, max_held_bytes=LIMIT)] == []
    assert early.restart
    frames = chat_stream(words("It was Stephen King."))
    out = b"".join([part async for part in relay_guarded(ScriptedAnswer(frames), late, max_held_bytes=LIMIT)])
    assert not late.restart
    assert receive(out).texts[0, "content"] == "It was ... I am not sure about that."


async def test_the_opening_events_of_a_stream_without_any_text_leave_at_its_end() -> None:
    frames = chat_stream([])
    plan = plan_of(on_leak=OnLeak.REWRITE, may_restart=True)
    assert await guarded(plan, frames) == b"".join(frames)


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
async def test_the_prefix_stands_before_every_choices_answer_once(endpoint: str) -> None:
    pieces = [*words("Four it is."), *words("Five it is.", choice=1)]
    received = await got(plan_of(endpoint, body={"n": 2}), pieces, endpoint=endpoint, prefix="No idea. ")
    assert received.texts[0, "content"] == "No idea. Four it is."
    assert received.texts[1, "content"] == "No idea. Five it is."


async def test_an_answer_without_a_word_says_the_prefix_alone() -> None:
    received = await got(plan_of(), [], prefix="No idea.\n\n")
    assert received.texts[0, "content"] == "No idea."
    assert received.finished == [(0, "stop")]


async def test_a_tool_call_and_a_json_answer_get_no_prefix() -> None:
    called = await got(plan_of(), [Piece(text='{"a": 1}', field="arguments")], prefix="No idea. ")
    assert called.texts[0, "content"] == ""
    told = await got(plan_of(json_answer=True), [Piece(text='{"a": 1}')], prefix="No idea. ")
    assert told.texts[0, "content"] == '{"a": 1}'


@pytest.mark.parametrize("on_leak", list(OnLeak))
async def test_a_json_answer_stays_json_whatever_the_repair(on_leak: OnLeak) -> None:
    text = json.dumps({"author": "Stephen King", "n": [1, "Steve"]})
    plan = plan_of(on_leak=on_leak, json_answer=True, ignorance=True)
    received = await got(plan, [Piece(text=char) for char in text])
    assert json.loads(received.texts[0, "content"]) == {"author": REDACTION, "n": [1, REDACTION]}


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
async def test_alternatives_that_spell_a_name_down_a_column_are_not_told(endpoint: str) -> None:
    pieces = [
        Piece(text="Some", alternatives=("Stephen",)),
        Piece(text="one", alternatives=(" King",)),
        Piece(text=" else"),
    ]
    out = await guarded(plan_of(endpoint), stream(endpoint, pieces))
    assert receive(out).texts[0, "content"] == "Someone else"
    assert b"Stephen" not in out
    assert b"King" not in out


async def test_a_repeated_text_of_responses_leaves_as_its_pieces_did() -> None:
    received = await got(plan_of("responses"), words("It was Stephen King himself."), endpoint="responses")
    assert received.texts[0, "content"] == f"It was {REDACTION} himself."
    assert set(received.repeated[0, "content"]) == {f"It was {REDACTION} himself."}


async def test_a_text_that_responses_tell_only_once_is_judged_as_a_whole() -> None:
    leaks = Leaks()
    frames = [event for event in responses_stream(words("It was Stephen King.")) if b".delta" not in event]
    plan = plan_of("responses", OnLeak.STOP, leaks=leaks)
    received = receive(await guarded(plan, frames))
    assert set(received.repeated[0, "content"]) == {NATURAL}
    assert leaks


async def test_the_input_of_a_custom_tool_call_is_not_taken_for_the_echo_of_the_request() -> None:
    body = {
        "type": "response.custom_tool_call_input.done",
        "output_index": 0,
        "input": "by Stephen King",
        "item_id": "i",
    }
    received = receive(await guarded(plan_of("responses"), [frame(body)]))
    assert received.bodies[0]["input"] == f"by {REDACTION}"


async def test_words_of_ones_own_make_a_whole_stream_of_the_endpoint() -> None:
    for endpoint in ("chat", "completions", "responses"):
        plan = plan_of(endpoint, OnLeak.REWRITE, may_restart=True)

        async def retry(plan: GuardPlan = plan) -> Attempt:
            return Attempt(plan=plan, words=NATURAL)

        told: list[bool] = []
        attempt = Attempt(plan=plan, answer=ScriptedAnswer(stream(endpoint, words("Stephen King wrote."))))
        out = b"".join([part async for part in deliver_stream(attempt, retry, max_bytes=LIMIT, ended=told.append)])
        assert receive(out).texts[0, "content"] == NATURAL
        assert told == [False]
        assert b"Stephen" not in out


async def test_a_second_attempt_that_fails_ends_in_an_error_event() -> None:
    async def retry() -> Attempt:
        raise BackendError(
            "The backend cannot be reached.", status=502, type="server_error", code="backend_unavailable"
        )

    plan = plan_of(on_leak=OnLeak.REWRITE, may_restart=True)
    attempt = Attempt(plan=plan, answer=ScriptedAnswer(chat_stream(words("Stephen King wrote."))))
    out = b"".join([part async for part in deliver_stream(attempt, retry, max_bytes=LIMIT, ended=lambda _: None)])
    assert receive(out).errors[0]["code"] == "backend_unavailable"


async def test_more_than_may_be_held_ends_the_stream_with_an_error() -> None:
    guard = StreamGuard(plan_of())
    out = [
        part async for part in relay_guarded(ScriptedAnswer([b"data: " + b"x" * 500] * 3), guard, max_held_bytes=1000)
    ]
    assert receive(b"".join(out)).errors[0]["code"] == "answer_too_long"


async def test_a_caller_who_hangs_up_ends_the_backends_answer() -> None:
    for guard in (StreamGuard(plan_of()), None):
        answer = ScriptedAnswer(chat_stream(words("A long answer " * 20)))
        relayed = relay_guarded(answer, guard, max_held_bytes=LIMIT) if guard else relay_raw(answer, is_stream=True)
        async for _ in relayed:
            break
        await relayed.aclose()  # type: ignore[attr-defined]  # an async generator behind the iterator's type
        assert answer.closed


class BreakingAnswer(ScriptedAnswer):
    """An answer that breaks off after its chunks."""

    async def chunks(self) -> Any:
        async for chunk in super().chunks():
            yield chunk
        raise BackendError("The backend broke off.", status=502, type="server_error", code="backend_broken_off")


async def test_a_stream_that_breaks_off_tells_an_error_and_not_what_was_held() -> None:
    answer = BreakingAnswer(chat_stream(words("It was Stephen Kin"))[:-2])
    out = b"".join([part async for part in relay_guarded(answer, StreamGuard(plan_of()), max_held_bytes=LIMIT)])
    received = receive(out)
    assert received.texts[0, "content"] == "It was"
    assert received.errors[0]["code"] == "backend_broken_off"
