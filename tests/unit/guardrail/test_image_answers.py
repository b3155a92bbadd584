"""What is told of an image server's answer where something else was drawn: the fields stay, their words do not."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from PIL.PngImagePlugin import PngInfo

from guardrail.openai_wire.image_answers import told_answer, told_item, told_usage, wordless_item
from tests.fakes.small_pictures import encoded, painted

OWN = "a red star"


@pytest.mark.parametrize(("revised", "told"), [("a red shape", OWN), ("", ""), (None, None)])
def test_a_revised_prompt_is_only_told_where_the_server_revises(revised: Any, told: Any) -> None:
    assert told_item({"b64_json": "AA==", "revised_prompt": revised}, prompt=OWN)["revised_prompt"] == told


def test_fields_without_words_stay_and_others_go() -> None:
    item = {"url": "https://a/1", "width": 64, "is_nsfw": False, "scores": [0.1], "content_type": "image/png"}
    assert told_item({**item, "prompt": "a red shape", "notes": {"from": "star"}}, prompt=OWN) == item


def test_what_stands_around_the_pictures_tells_no_other_prompt() -> None:
    kept = {
        "created": 1,
        "data": [],
        "size": "64x64",
        "model": "m",
        "timings": {"s": 0.5},
        "usage": {"input_tokens": 0},
    }
    assert told_answer({**kept, "parameters": {"prompt": "a red shape"}}) == kept


def test_a_server_that_counts_no_tokens_goes_on_counting_none() -> None:
    usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    assert told_usage(usage, sent="a red shape on white", own=OWN) == usage


def test_pictures_that_were_read_count_the_same_whatever_was_sent() -> None:
    sent = {
        "input_tokens": 103,
        "input_tokens_details": {"text_tokens": 3, "image_tokens": 100},
        "output_tokens": 10,
        "total_tokens": 113,
    }
    told = told_usage(sent, sent="x" * 12, own="x" * 24)
    assert told["input_tokens_details"] == {"text_tokens": told["input_tokens"] - 100, "image_tokens": 100}
    assert told["input_tokens"] > 103
    assert told["total_tokens"] == told["input_tokens"] + 10


@pytest.mark.parametrize("key", ["b64_json", "url"])
def test_the_words_in_a_pictures_file_do_not_leave(key: str) -> None:
    info = PngInfo()
    info.add_text("parameters", "a red shape")
    head = "data:image/png;base64," if key == "url" else ""
    plain = head + base64.b64encode(encoded(painted("red", 1))).decode()
    told = head + base64.b64encode(encoded(painted("red", 1), pnginfo=info)).decode()
    assert wordless_item({key: told, "seed": 3}) == {key: plain, "seed": 3}
    assert wordless_item({key: plain})[key] is plain


def test_addresses_and_what_is_no_picture_stay_as_they_are() -> None:
    for item in ({"url": "https://images.example/1.png"}, {"b64_json": "no base64!"}, {"b64_json": None}):
        assert wordless_item(item) == item
