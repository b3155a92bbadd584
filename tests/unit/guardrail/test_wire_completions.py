"""Plain completions: prompts, choices, token details."""

from __future__ import annotations

from typing import Any

import pytest

from guardrail.decision import Role
from guardrail.errors import ApiError
from guardrail.openai_wire.completions import CompletionsWire
from guardrail.openai_wire.protocol import Reply

WIRE = CompletionsWire()


def test_every_prompt_of_a_list_is_a_passage_and_so_is_the_suffix() -> None:
    passages = WIRE.passages({"prompt": ["a", "b"], "suffix": "c"})
    assert [(passage.path, passage.text, passage.role) for passage in passages] == [
        (("prompt", 0), "a", Role.USER),
        (("prompt", 1), "b", Role.USER),
        (("suffix",), "c", Role.SYSTEM),
    ]


@pytest.mark.parametrize("prompt", [None, [], [1, 2], [[1]], 5, ["a", 1]])
def test_a_prompt_that_cannot_be_read_is_refused(prompt: Any) -> None:
    with pytest.raises(ApiError, match="prompt"):
        WIRE.passages({"prompt": prompt})


def test_only_the_prompts_that_were_met_get_the_instruction() -> None:
    assert WIRE.with_instruction({"prompt": ["a", "b"]}, "new", [1])["prompt"] == ["a", "new\n\nb"]
    assert WIRE.with_instruction({"prompt": "a"}, "new", [0])["prompt"] == "new\n\na"


def test_a_choice_answers_the_prompt_that_its_number_says() -> None:
    body = {"prompt": ["a", "b"], "n": 2}
    assert [WIRE.passage_of_choice(body, choice) for choice in range(4)] == [0, 0, 1, 1]
    assert WIRE.passage_of_choice({"prompt": "a", "n": 2}, 1) is None


@pytest.mark.parametrize("field", ["echo", "prompt_logprobs"])
def test_fields_that_show_the_prompt_are_refused(field: str) -> None:
    with pytest.raises(ApiError) as caught:
        WIRE.refuse_unscannable({"prompt": "a", field: 1})
    assert caught.value.param == field


def test_the_keys_of_alternatives_are_texts_of_their_rank() -> None:
    details = {"tokens": ["a"], "top_logprobs": [{"a": -1, "b": -2}, None]}
    slots = WIRE.event_slots({"choices": [{"index": 1, "text": "a", "reasoning": "r", "logprobs": details}]})
    assert [(slot.key.field, slot.text) for slot in slots] == [
        ("text", "a"),
        ("reasoning", "r"),
        ("logprobs.chosen", "a"),
        ("logprobs.0", "a"),
        ("logprobs.1", "b"),
    ]


def test_a_split_event_keeps_its_end_and_details_on_the_second_half() -> None:
    event = {
        "choices": [{"index": 0, "text": "ab", "finish_reason": "stop", "logprobs": None, "token_ids": [1]}],
        "usage": {},
    }
    [slot] = WIRE.event_slots(event)
    parts = WIRE.split(event, slot, "a", "b")
    assert parts is not None
    cut = {"finish_reason": None, "logprobs": None, "token_ids": None}
    assert parts[0]["choices"] == [{"index": 0, "text": "a", **cut}]
    assert parts[1]["choices"][0]["finish_reason"] == "stop"


def test_a_synthetic_answer_answers_every_prompt_as_often_as_asked() -> None:
    body = {"prompt": ["a", "b"], "n": 2, "stream_options": {"include_usage": True}}
    answer = WIRE.reply(body, Reply(text="no"), answer_id="1", created=5)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    assert answer["usage"]["completion_tokens"] == 4
    events = WIRE.reply_events(body, Reply(text="no"), answer_id="1", created=5)
    assert [event["choices"][0]["index"] for event in events[:-1]] == [0, 1, 2, 3]
    assert events[-1]["choices"] == []


def test_one_choice_is_replaced_and_the_other_stays() -> None:
    answer: dict[str, Any] = {
        "choices": [{"index": 0, "text": "a", "logprobs": {"tokens": ["a"]}}, {"index": 1, "text": "b"}]
    }
    WIRE.with_reply(answer, 0, "new")
    assert [choice["text"] for choice in answer["choices"]] == ["new", "b"]
    assert answer["choices"][0]["logprobs"] is None
