"""Which chats and responses ask for pictures, and which answers and events bring some."""

from __future__ import annotations

from typing import Any

import pytest

from guardrail.openai_wire.picture_parts import asks_for_pictures, holds_pictures
from tests.fakes.small_pictures import data_url, painted_file

PICTURE = data_url(painted_file("red", 1))


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"modalities": ["text", "image"]}, "modalities"),
        ({"modalities": "IMAGE"}, "modalities"),
        ({"response_modalities": ["IMAGE"]}, "response_modalities"),
        ({"extra_body": {"modalities": ["image"]}}, "modalities"),
        ({"tools": [{"type": "function"}, {"type": "image_generation"}]}, "tools"),
        ({"tool_choice": {"type": "image_generation"}}, "tool_choice"),
    ],
)
def test_a_request_for_pictures_is_known_by_its_field(body: dict[str, Any], param: str) -> None:
    assert asks_for_pictures(body) == param


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"modalities": ["text", "audio"], "tools": None, "tool_choice": "auto", "extra_body": None},
        {"tools": [{"type": "function", "function": {"name": "image_generation"}}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PICTURE}}]}]},
    ],
)
def test_other_requests_do_not_ask_for_pictures(body: dict[str, Any]) -> None:
    assert asks_for_pictures(body) is None


def chat(message: dict[str, Any], part: str = "message") -> dict[str, Any]:
    return {"choices": [{"index": 0, part: message}]}


@pytest.mark.parametrize(
    "value",
    [
        chat(
            {"content": [{"type": "text", "text": "here"}, {"type": "image_url", "image_url": {"url": "https://a/1"}}]}
        ),
        chat({"content": [{"type": "image_url", "image_url": {"url": PICTURE}}]}, "delta"),
        chat({"content": "here", "images": [{"type": "image_url"}]}),
        chat({"content": f"![a house]({PICTURE})"}),
        {"output": [{"type": "image_generation_call", "result": "AA=="}]},
        {"output": [{"type": "message", "content": [{"type": "output_image"}]}]},
        {"output": [{"type": "code_interpreter_call", "outputs": [{"type": "image", "url": "https://a/1"}]}]},
        {"type": "response.image_generation_call.partial_image", "partial_image_b64": "AA=="},
        {"type": "response.output_item.done", "item": {"type": "image_generation_call"}},
        {"type": "response.completed", "response": {"output": [{"type": "image_generation_call"}]}},
    ],
)
def test_a_picture_in_an_answer_or_event_is_seen(value: dict[str, Any]) -> None:
    assert holds_pictures(value)


@pytest.mark.parametrize(
    "value",
    [
        chat({"role": "assistant", "content": "an image", "tool_calls": [{"type": "function", "function": {}}]}),
        chat({"content": "write data:image/png;base64, and then the picture" + "!" * 300}),
        chat({"content": None}, "delta"),
        {"choices": [], "usage": {"total_tokens": 3}},
        {"output": [{"type": "message", "content": [{"type": "output_text", "text": "an image"}]}]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": PICTURE}]}], "output": []},
        {"type": "response.output_text.delta", "delta": "image"},
    ],
)
def test_words_about_pictures_and_the_callers_own_are_none(value: dict[str, Any]) -> None:
    assert not holds_pictures(value)
