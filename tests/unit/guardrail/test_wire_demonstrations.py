"""Demonstrations stand as earlier turns right before the last user turn, in every wire format."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from guardrail.openai_wire import WIRE_FORMATS
from guardrail.openai_wire.chat import ChatWire
from guardrail.openai_wire.completions import CompletionsWire
from guardrail.openai_wire.responses import ResponsesWire

PAIRS = (("q1", "a1"), ("q2", "a2"))
TURNS = [
    {"role": "user", "content": "q1"},
    {"role": "assistant", "content": "a1"},
    {"role": "user", "content": "q2"},
    {"role": "assistant", "content": "a2"},
]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Who?"}], "x": {"kept": 1}},
    "/v1/completions": {"prompt": "Who?", "x": {"kept": 1}},
    "/v1/responses": {"input": "Who?", "x": {"kept": 1}},
}


@pytest.mark.parametrize("path", WIRE_FORMATS)
def test_the_model_reads_them_before_the_request_and_the_original_stays(path: str) -> None:
    wire, body = WIRE_FORMATS[path](), BODIES[path]
    before = copy.deepcopy(body)
    treated = wire.with_demonstrations(body, PAIRS, [0])
    said = " ".join(passage.text for passage in wire.passages(treated))
    places = [said.index(word) for word in ("q1", "a1", "q2", "a2", "Who?")]
    assert places == sorted(places)
    assert body == before
    assert treated["x"] == {"kept": 1}


@pytest.mark.parametrize("path", WIRE_FORMATS)
def test_an_instruction_may_follow_them(path: str) -> None:
    wire = WIRE_FORMATS[path]()
    treated = wire.with_instruction(wire.with_demonstrations(BODIES[path], PAIRS, [0]), "Forget.", [0])
    said = [passage.text for passage in wire.passages(treated)]
    assert "Forget." in said[-1]
    assert "Who?" in said[-1]


@pytest.mark.parametrize(
    ("roles", "place"),
    [
        (["user"], 0),
        (["system", "user"], 1),
        (["system", "user", "assistant", "user", "user"], 3),
        (["user", "assistant"], 0),
        (["user", "assistant", "tool"], 0),
        (["system", "assistant"], 1),
        (["developer"], 1),
        (["user", "nobody", "user"], 2),
    ],
)
@pytest.mark.parametrize(("wire", "field"), [(ChatWire(), "messages"), (ResponsesWire(), "input")])
def test_they_stand_right_before_the_last_user_turn(
    wire: ChatWire | ResponsesWire, field: str, roles: list[str], place: int
) -> None:
    given = [{"role": role, "content": f"{number}"} for number, role in enumerate(roles)]
    treated = wire.with_demonstrations({field: given}, PAIRS, [0])
    assert treated[field] == [*given[:place], *TURNS, *given[place:]]


def test_input_in_words_becomes_a_list_of_items() -> None:
    treated = ResponsesWire().with_demonstrations({"input": "Who?"}, PAIRS[:1], [0])
    assert treated["input"] == [*TURNS[:2], {"role": "user", "content": "Who?"}]


def test_items_that_are_no_messages_stay_where_they_are() -> None:
    items = [{"role": "user", "content": "a"}, {"type": "function_call_output", "output": "b"}]
    treated = ResponsesWire().with_demonstrations({"input": items}, PAIRS[:1], [0])
    assert treated["input"] == [*TURNS[:2], *items]


def test_only_the_prompts_that_were_met_get_them() -> None:
    wire = CompletionsWire()
    shown = "Question: q1\nAnswer: a1\n\nQuestion: q2\nAnswer: a2\n\n"
    assert wire.with_demonstrations({"prompt": ["a", "b"]}, PAIRS, [1])["prompt"] == ["a", f"{shown}b"]
    assert wire.with_demonstrations({"prompt": "a"}, PAIRS, [0])["prompt"] == f"{shown}a"
    assert wire.with_demonstrations({"prompt": "a"}, (), [0]) == {"prompt": "a"}
