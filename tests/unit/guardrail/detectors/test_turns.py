"""Passages as turns: what is current, what is history, what stands over all."""

from __future__ import annotations

from typing import Any

from guardrail.detectors.turns import is_alone, read_turns
from guardrail.openai_wire.chat import ChatWire
from guardrail.openai_wire.completions import CompletionsWire
from guardrail.openai_wire.responses import ResponsesWire


def test_a_turn_runs_to_the_next_word_of_the_caller_after_an_answer() -> None:
    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "a"},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": "x"},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "The answer begins"},
    ]
    conversation = read_turns(ChatWire().passages({"messages": messages}))
    assert conversation.standing == {0}
    assert [(turn.user, turn.others) for turn in conversation.turns] == [((1, 2), (3,)), ((4,), (5,))]


def test_a_tool_result_belongs_to_the_turn_that_it_answers() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "find", "arguments": '{"q": "x"}'}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "a page"},
    ]
    (turn,) = read_turns(ChatWire().passages({"messages": messages})).turns
    assert turn.user == (0,)
    assert len(turn.others) >= 2


def test_the_name_of_a_speaker_is_not_what_he_says() -> None:
    passages = ChatWire().passages({"messages": [{"role": "user", "name": "Ann", "content": "a"}]})
    (turn,) = read_turns(passages).turns
    assert [passages[index].text for index in turn.user] == ["a"]


def test_the_responses_format_gives_the_same_turns() -> None:
    given = [
        {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "x"}]},
        {"role": "user", "content": "c"},
    ]
    conversation = read_turns(ResponsesWire().passages({"instructions": "s", "input": given}))
    assert conversation.standing == {0}
    assert [(turn.user, turn.others) for turn in conversation.turns] == [((1,), (2,)), ((3,), ())]


def test_several_prompts_are_no_conversation() -> None:
    passages = CompletionsWire().passages({"prompt": ["a", "b"]})
    assert is_alone(passages)
    assert read_turns(passages).is_single
