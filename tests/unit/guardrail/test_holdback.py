"""The queue of events that wait."""

from __future__ import annotations

from typing import Any

from guardrail.inspectors import TextLeak
from guardrail.openai_wire.chat import ChatWire
from guardrail.openai_wire.protocol import ChannelKey
from guardrail.openai_wire.sse import write_event
from guardrail.streaming.channel import Channel
from guardrail.streaming.holdback import HeldEvent, HeldSlot, Holdback
from tests.fakes.forgotten import AUTOMATON, forbidden
from tests.fakes.wire_streams import receive

WIRE = ChatWire()


def channel(field: str = "content", choice: int = 0) -> Channel:
    return Channel(ChannelKey(choice, field), TextLeak(AUTOMATON, forbidden()))


def said(delta: dict[str, Any], *channels: Channel, finish: str | None = None) -> HeldEvent:
    """An event whose texts go to these channels, in order."""
    body = {"id": "1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    event = HeldEvent(write_event(body), body)
    for slot, one in zip(WIRE.event_slots(body), channels, strict=True):
        event.slots.append(HeldSlot(slot, one, one.total))
        one.push(slot.text)
    return event


def test_clear_events_leave_in_order_with_their_own_bytes() -> None:
    queue, text = Holdback(WIRE, opening=False), channel()
    events = [HeldEvent(b": hi\n\n"), said({"content": "One "}, text), said({"content": "two "}, text)]
    for event in events:
        queue.push(event)
    assert queue.held_bytes == sum(len(event.raw) for event in events)
    assert queue.release() == [event.raw for event in events]
    assert queue.held_bytes == 0


def test_nothing_overtakes_an_event_that_waits() -> None:
    queue, first, second = Holdback(WIRE, opening=False), channel("reasoning"), channel()
    queue.push(said({"reasoning": "Stephen"}, first))
    queue.push(said({"content": "Clear. "}, second))
    assert queue.release() == []
    assert list(queue.blocking()) == [first]
    first.push("son ")
    assert len(queue.release()) == 2


def test_a_long_event_lets_its_clear_part_go_and_keeps_the_rest() -> None:
    queue, text = Holdback(WIRE, opening=False), channel()
    queue.push(said({"role": "assistant", "content": "A long sentence about the author Stephen"}, text, finish="stop"))
    [part] = queue.release()
    got = receive(part)
    assert (got.texts[0, "content"], got.roles, got.finished) == ("A long sentence about the author ", [0], [])
    text.push("", final=True)
    rest = receive(b"".join(queue.release()))
    assert (rest.texts[0, "content"], rest.roles, rest.finished) == ("Stephen", [], [(0, "stop")])


def test_a_tool_call_that_is_split_tells_its_id_once() -> None:
    queue, text = Holdback(WIRE, opening=False), channel("tool_calls.0.function.arguments")
    call = {
        "index": 2,
        "id": "c1",
        "type": "function",
        "function": {"arguments": "a long beginning that is clear Stephen"},
    }
    queue.push(said({"tool_calls": [call]}, text))
    out = queue.release()
    text.push("", final=True)
    got = receive(b"".join(out + queue.release()))
    assert len(got.bodies) == 2
    assert (got.texts[0, "call_id"], got.texts[0, "arguments"]) == ("c1", "a long beginning that is clear Stephen")
    assert got.bodies[1]["choices"][0]["delta"]["tool_calls"][0]["index"] == 2


def test_a_space_before_a_waiting_word_is_not_sent_by_itself() -> None:
    queue, text = Holdback(WIRE, opening=False), channel()
    queue.push(said({"content": " Stephen"}, text))
    queue.push(said({"content": " King"}, text))
    assert queue.release() == []


def test_a_piece_that_was_cut_out_leaves_no_empty_event_but_its_finish_does_leave() -> None:
    queue, text = Holdback(WIRE, opening=False), channel()
    queue.push(said({"content": "Steve"}, text))
    queue.push(said({"content": "x"}, text, finish="stop"))
    text.close(0, "")
    got = receive(b"".join(queue.release()))
    assert len(got.bodies) == 1
    assert got.finished == [(0, "stop")]


def test_while_opening_nothing_leaves_before_the_first_text_may() -> None:
    queue, text = Holdback(WIRE, opening=True), channel()
    queue.push(said({"role": "assistant", "content": ""}))
    queue.push(said({"content": "Stephen"}, text))
    assert queue.release() == []
    assert queue.opening
    queue.push(said({"content": "son "}, text))
    assert len(queue.release()) == 3
    assert not queue.opening
