"""Chat completions: where texts sit, and what is edited."""

from __future__ import annotations

from typing import Any

import pytest

from guardrail.decision import Role
from guardrail.errors import ApiError
from guardrail.openai_wire.chat import ChatWire
from guardrail.openai_wire.protocol import Reply

WIRE = ChatWire()


def test_every_text_of_a_conversation_is_a_passage_with_its_role() -> None:
    body = {
        "messages": [
            {"role": "developer", "content": "rules"},
            {
                "role": "user",
                "name": "Ann",
                "content": [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "u"}}],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "1", "content": "page"},
            {"role": "who", "content": "odd"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "description": "finds"}}],
    }
    found = {(passage.text, passage.role) for passage in WIRE.passages(body)}
    assert {("rules", Role.SYSTEM), ("look", Role.USER), ("Ann", Role.USER), ("page", Role.TOOL)} <= found
    assert {("{}", Role.TOOL), ("odd", Role.USER), ("finds", Role.SYSTEM)} <= found
    assert "u" not in {text for text, _ in found}


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        (["user"], ["user\n\nnew"]),
        (["system", "user"], ["system", "user\n\nnew"]),
        (["user", "assistant", "user", "tool"], ["user", "assistant", "user\n\nnew", "tool"]),
        (["system"], ["system", "new"]),
    ],
)
def test_an_instruction_stands_behind_the_last_thing_asked(roles: list[str], expected: list[str]) -> None:
    messages = [{"role": role, "content": role} for role in roles]
    treated = WIRE.with_instruction({"messages": messages}, "new", [0])
    assert [message["content"] for message in treated["messages"]] == expected


def test_an_instruction_joins_a_message_in_parts() -> None:
    part = {"type": "text", "text": "q"}
    treated = WIRE.with_instruction({"messages": [{"role": "user", "content": [part]}]}, "new", [1])
    assert treated["messages"][0]["content"] == [part, {"type": "text", "text": "new"}]


def test_prompt_embeddings_in_a_message_are_refused() -> None:
    body = {"messages": [{"role": "user", "content": [{"type": "prompt_embeds", "data": "x"}]}]}
    with pytest.raises(ApiError, match="embeddings"):
        WIRE.refuse_unscannable(body)


def test_every_string_of_a_delta_is_a_text_whatever_its_name() -> None:
    delta = {
        "role": "assistant",
        "content": "a",
        "reasoning_content": "b",
        "refusal": "c",
        "new_field": {"deep": ["d"]},
        "id": "no",
    }
    event = {"choices": [{"index": 3, "delta": delta}]}
    assert {(slot.key.field, slot.text) for slot in WIRE.event_slots(event)} == {
        ("content", "a"),
        ("reasoning_content", "b"),
        ("refusal", "c"),
        ("new_field.deep.0", "d"),
    }
    assert {slot.key.choice for slot in WIRE.event_slots(event)} == {3}


def test_tool_calls_keep_their_index_over_chunks_and_their_arguments_are_json() -> None:
    call = {"index": 4, "id": "1", "type": "function", "function": {"name": "find", "arguments": "{"}}
    slots = WIRE.event_slots({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})
    assert [(slot.key.field, slot.key.structured) for slot in slots] == [
        ("tool_calls.4.function.name", False),
        ("tool_calls.4.function.arguments", True),
    ]


def test_a_citation_may_spell_a_name_in_its_address() -> None:
    citation = {"type": "url_citation", "url_citation": {"url": "https://w/Stephen_King", "title": "t"}}
    answer = {"choices": [{"message": {"content": "x", "annotations": [citation]}}]}
    assert {slot.text for slot in WIRE.answer_slots(answer)} == {"x", "t", "https://w/Stephen_King"}


def test_a_finish_reason_ends_its_choice_and_the_usage_chunk_ends_all() -> None:
    choices = [{"index": 0, "delta": {}, "finish_reason": None}, {"index": 1, "delta": {}, "finish_reason": "length"}]
    assert WIRE.ends({"choices": choices}) == [1]
    assert WIRE.ends({"choices": [], "usage": {"total_tokens": 1}}) is None
    assert not WIRE.ends({"choices": []})


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"delta": {"content": "a"}, "finish_reason": None}, False),
        ({"delta": {"content": "a"}, "finish_reason": "stop"}, True),
        ({"delta": {"role": "assistant", "content": "a"}}, True),
    ],
)
def test_an_event_says_more_if_it_opens_or_ends_a_choice(choice: dict[str, Any], expected: bool) -> None:
    assert WIRE.says_more({"choices": [choice]}) is expected


def test_fields_that_show_the_prompt_are_emptied() -> None:
    event: dict[str, Any] = {"prompt_token_ids": [1], "choices": [{"prompt_logprobs": [1], "delta": {}}]}
    assert WIRE.hide_treatment(event, {})
    assert event == {"prompt_token_ids": None, "choices": [{"prompt_logprobs": None, "delta": {}}]}
    assert not WIRE.hide_treatment(event, {})


def test_a_replaced_message_keeps_its_shape_and_nothing_of_what_it_said() -> None:
    answer: dict[str, Any] = {
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "x", "reasoning": "y", "tool_calls": [1]},
                "token_ids": [1],
                "logprobs": {},
            }
        ]
    }
    WIRE.with_reply(answer, 0, "new")
    [choice] = answer["choices"]
    assert choice["message"] == {
        "role": "assistant",
        "content": "new",
        "reasoning": None,
        "tool_calls": [],
        "refusal": None,
    }
    assert choice["finish_reason"] == "stop"
    assert choice["token_ids"] is None


def test_a_synthetic_answer_gives_as_many_choices_as_were_asked_for_and_usage_if_wanted() -> None:
    body = {"messages": [{"role": "user", "content": "q"}], "n": 2, "stream_options": {"include_usage": True}}
    assert len(WIRE.reply(body, Reply(text="a"), answer_id="1", created=5)["choices"]) == 2
    events = WIRE.reply_events(body, Reply(text="a"), answer_id="1", created=5)
    assert [number for event in events for number in WIRE.ends(event) or ()] == [0, 1]
    assert (events[-1]["choices"], events[-1]["usage"]["completion_tokens"]) == ([], 2)


def test_an_open_refusal_is_a_refusal_and_no_content() -> None:
    message = WIRE.reply({"messages": [{"content": "q"}]}, Reply(text="no", refusal=True), answer_id="1", created=5)
    assert message["choices"][0]["message"] == {"role": "assistant", "content": None, "refusal": "no"}


def test_an_event_with_texts_in_several_calls_is_not_split() -> None:
    calls = [{"index": 0, "function": {}}, {"index": 1, "function": {"arguments": "long text"}}]
    event = {"choices": [{"index": 0, "delta": {"tool_calls": calls}}]}
    [slot] = WIRE.event_slots(event)
    assert WIRE.split(event, slot, "long", " text") is None
