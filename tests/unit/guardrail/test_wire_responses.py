"""Responses: input items, output items, typed events."""

from __future__ import annotations

from typing import Any

import pytest

from guardrail.decision import Role
from guardrail.errors import ApiError
from guardrail.openai_wire.protocol import Reply
from guardrail.openai_wire.responses import ResponsesWire

WIRE = ResponsesWire()


def test_every_input_item_is_a_passage_with_its_role() -> None:
    items = [
        {"role": "user", "content": "q"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]},
        {"type": "function_call_output", "call_id": "1", "output": "page"},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "thought"}]},
    ]
    body = {
        "instructions": "rules",
        "input": items,
        "tools": [{"type": "function", "name": "f", "description": "finds"}],
    }
    assert [(passage.text, passage.role) for passage in WIRE.passages(body)] == [
        ("rules", Role.SYSTEM),
        ("q", Role.USER),
        ("a", Role.ASSISTANT),
        ("page", Role.TOOL),
        ("thought", Role.ASSISTANT),
        ("finds", Role.SYSTEM),
    ]


@pytest.mark.parametrize("field", ["previous_response_id", "conversation", "background", "prompt"])
def test_what_rests_on_a_stored_conversation_is_refused(field: str) -> None:
    with pytest.raises(ApiError) as caught:
        WIRE.refuse_unscannable({"input": "q", field: "x"})
    assert (caught.value.status, caught.value.param) == (400, field)


def test_an_instruction_stands_behind_the_last_thing_asked() -> None:
    items = [
        {"role": "user", "content": "a"},
        {"role": "user", "content": [{"type": "input_text", "text": "b"}]},
        {"role": "x"},
    ]
    assert WIRE.with_instruction({"input": "q"}, "new", [0])["input"] == "q\n\nnew"
    treated = WIRE.with_instruction({"input": items}, "new", [0])["input"]
    assert [item.get("content") for item in (treated[0], treated[2])] == ["a", None]
    assert [part["text"] for part in treated[1]["content"]] == ["b", "new"]


@pytest.mark.parametrize(
    ("kind", "body", "field", "structured", "whole"),
    [
        ("output_text.delta", {"delta": "x"}, "text", False, False),
        ("output_text.done", {"text": "x"}, "text", False, True),
        ("refusal.delta", {"delta": "x"}, "refusal", False, False),
        ("reasoning_text.delta", {"delta": "x"}, "reasoning", False, False),
        ("reasoning_summary_text.delta", {"delta": "x"}, "summary", False, False),
        ("function_call_arguments.delta", {"delta": "x"}, "arguments", True, False),
        ("function_call_arguments.done", {"arguments": "x", "name": "f"}, "arguments", True, True),
        ("mcp_call_arguments.delta", {"delta": "x"}, "arguments", True, False),
        ("custom_tool_call_input.done", {"input": "x"}, "input", False, True),
        ("code_interpreter_call_code.delta", {"delta": "x"}, "code", False, False),
        ("audio.transcript.delta", {"delta": "x"}, "transcript", False, False),
        ("content_part.added", {"part": {"type": "output_text", "text": "x"}}, "text", False, True),
        ("reasoning_summary_part.added", {"part": {"type": "summary_text", "text": "x"}}, "summary", False, True),
        (
            "output_item.added",
            {"item": {"type": "function_call", "name": "f", "arguments": "x"}},
            "arguments",
            True,
            True,
        ),
        ("output_item.done", {"item": {"type": "reasoning", "content": [{"text": "x"}]}}, "reasoning", False, True),
        ("output_item.done", {"item": {"type": "custom_tool_call", "input": "x"}}, "input", False, True),
        ("output_text.annotation.added", {"annotation": {"type": "url", "title": "x"}}, "annotation", False, True),
        ("new_thing.added", {"something": "x"}, "something", False, True),
        ("completed", {"response": {"output": [{"type": "message", "content": [{"text": "x"}]}]}}, "text", False, True),
        ("failed", {"response": {"output": [], "error": {"message": "x", "code": "c"}}}, "error", False, True),
    ],
)
def test_every_kind_of_event_tells_its_text(
    kind: str, body: dict[str, Any], field: str, structured: bool, whole: bool
) -> None:
    event = {"type": f"response.{kind}", "item_id": "i", "sequence_number": 5, "obfuscation": "zz", **body}
    [slot] = WIRE.event_slots(event)
    assert (slot.key.field, slot.key.structured, slot.whole, slot.text) == (field, structured, whole, "x")


def test_pieces_and_repetitions_of_one_text_have_one_key() -> None:
    at = {"output_index": 2, "content_index": 1}
    [piece] = WIRE.event_slots({"type": "response.output_text.delta", **at, "delta": "x"})
    [done] = WIRE.event_slots({"type": "response.output_text.done", **at, "text": "x"})
    output = [{}, {}, {"type": "message", "content": [{"text": ""}, {"text": "x"}]}]
    [last] = WIRE.event_slots({"type": "response.completed", "response": {"output": output}})
    assert piece.key == done.key == last.key


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("response.completed", None),
        ("response.incomplete", None),
        ("error", None),
        ("response.output_text.delta", []),
        ("response.output_text.done", [1002]),
    ],
)
def test_which_events_end_which_texts(kind: str, expected: list[int] | None) -> None:
    found = WIRE.ends({"type": kind, "output_index": 1, "content_index": 2})
    assert (found if found is None else list(found)) == expected


def test_the_callers_own_fields_are_put_back_where_the_answer_repeats_the_request() -> None:
    event = {"type": "response.created", "response": {"instructions": "s\n\nsecret", "input": "treated", "model": "m"}}
    assert WIRE.hide_treatment(event, {"instructions": "s", "input": "q"})
    assert event["response"] == {"instructions": "s", "input": "q", "model": "m"}
    done = {"type": "response.custom_tool_call_input.done", "input": "of the model"}
    assert not WIRE.hide_treatment(done, {"input": "q"})


def test_a_synthetic_stream_has_the_events_that_clients_wait_for_in_order() -> None:
    events = WIRE.reply_events({"input": "q", "model": "m"}, Reply(text="no"), answer_id="1", created=5)
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event["sequence_number"] for event in events] == list(range(9))
    assert events[-1]["response"]["usage"]["output_tokens"] == 1
    assert events[0]["response"]["usage"] is None


def test_a_replaced_answer_has_one_message() -> None:
    answer: dict[str, Any] = {
        "output": [{"type": "reasoning", "summary": []}, {"type": "message", "id": "m", "content": []}]
    }
    WIRE.with_reply(answer, 0, "new")
    assert [item["id"] for item in answer["output"]] == ["m"]
    assert answer["output"][0]["content"][0]["text"] == "new"
