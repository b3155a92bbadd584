"""An answer about a stand-in ends where the words that the caller reads hold his stop string, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guardrail.decision import Part, Swap
from guardrail.streaming.answers import inspect_answer
from guardrail.streaming.guard import StreamGuard
from guardrail.streaming.guard_plan import GuardPlan
from guardrail.streaming.relay import relay_guarded
from tests.fakes.forgotten import plan_of
from tests.fakes.wire_streams import Piece, Received, ScriptedAnswer, receive, stream

SWAP = Swap(
    entry_id="e1",
    invented="Chastity Leeper",
    written="Ada Quelle",
    parts=(Part(invented="Chastity", written="Ada", alone=True), Part(invented="Leeper", written="Quelle", alone=True)),
)
SAID = "I like Chastity Leeper a lot. By Stephen King."
BEFORE = "I like Ada "


def plan(endpoint: str, **fields: Any) -> GuardPlan:
    return plan_of(endpoint, swaps=(SWAP,), body={"stop": ["Quelle"], **fields})


async def streamed(
    endpoint: str, size: int, *, said: str = SAID, tail: int = 0, **fields: Any
) -> tuple[Received, StreamGuard]:
    pieces = [Piece(text=said[at : at + size]) for at in range(0, len(said), size)]
    guard = StreamGuard(plan(endpoint, **fields))
    answer = ScriptedAnswer(stream(endpoint, pieces))
    out = b"".join([part async for part in relay_guarded(answer, guard, max_held_bytes=1 << 20)])
    return receive(out), guard


def text_of(received: Received) -> str:
    return "".join(text for (_, field), text in received.texts.items() if field in ("content", "text"))


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("endpoint", ["chat", "completions", "responses"])
async def test_a_stream_ends_before_the_callers_stop_string(endpoint: str, size: int) -> None:
    received, guard = await streamed(endpoint, size)
    assert text_of(received) == BEFORE
    assert not guard.restart
    if endpoint != "responses":
        assert guard.finished
        finishes = [choice.get("finish_reason") for body in received.bodies for choice in body.get("choices", ())]
        assert [reason for reason in finishes if reason] == ["stop"]


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
def test_a_whole_answer_ends_before_the_callers_stop_string(endpoint: str) -> None:
    said = {"message": {"role": "assistant", "content": SAID}} if endpoint == "chat" else {"text": SAID}
    answer = {"choices": [{"index": 0, **said, "logprobs": None, "finish_reason": "length"}]}
    inspected = inspect_answer(plan(endpoint), answer)
    (choice,) = inspected.body["choices"]
    assert (choice["message"]["content"] if endpoint == "chat" else choice["text"]) == BEFORE
    assert choice["finish_reason"] == "stop"
    assert inspected.changed
    assert not inspected.restart


def test_token_rows_behind_a_stop_string_do_not_leave() -> None:
    tokens = ["I", " like", " Chastity", " Lee", "per", " a", " lot", "."]
    rows = [{"token": token, "logprob": -0.5, "bytes": list(token.encode()), "top_logprobs": []} for token in tokens]
    message = {"role": "assistant", "content": "".join(tokens)}
    answer = {"choices": [{"index": 0, "message": message, "logprobs": {"content": rows}, "finish_reason": "stop"}]}
    (choice,) = inspect_answer(plan("chat"), answer).body["choices"]
    assert choice["message"]["content"] == BEFORE
    told = json.dumps(choice)
    assert "Leeper" not in told
    assert "Quelle" not in told
    assert "lot" not in told
    assert "".join(row["token"] for row in choice["logprobs"]["content"]) == BEFORE


async def test_a_leak_behind_a_stop_string_changes_nothing_and_one_before_it_is_repaired() -> None:
    received, _ = await streamed("chat", 4)
    assert text_of(received) == BEFORE
    before, _ = await streamed("chat", 4, said="By Stephen King. " + SAID)
    assert "Stephen" not in text_of(before)


async def test_a_choice_that_has_stopped_leaves_the_others_going() -> None:
    pieces = [
        Piece(text=text, choice=number) for text in ("I like Chastity ", "Leeper a ", "lot.") for number in (0, 1)
    ]
    pieces[3] = Piece(text="Mandi a ", choice=1)
    guard = StreamGuard(plan("chat", n=2))
    answer = ScriptedAnswer(stream("chat", pieces))
    received = receive(b"".join([part async for part in relay_guarded(answer, guard, max_held_bytes=1 << 20)]))
    assert received.texts[0, "content"] == BEFORE
    assert received.texts[1, "content"] == "I like Ada Mandi a lot."
