"""What goes to a backend that draws, and what of its answer goes on."""

from __future__ import annotations

import base64
import io
from typing import Any

import orjson
import pytest
from PIL import Image

from guardrail.decision import Caller
from guardrail.openai_wire import images
from guardrail.picture_sending import (
    Album,
    PictureAsk,
    body_under,
    grey,
    item_of,
    one_of,
    passages,
    retold,
    retold_item,
    unpacked,
)
from guardrail.pictures import Drawn, PicturePlan
from tests.fakes.small_pictures import painted_file


def ask_for(**fields: Any) -> PictureAsk:
    body = {"prompt": "a red star", **fields}
    return PictureAsk(asked=images.parse(body), body=body, raw=orjson.dumps(body), caller=Caller(), request_id="req_1")


def test_without_a_plan_the_body_is_the_callers_own() -> None:
    ask = ask_for(prompt_2="and a cat", n=2)
    assert body_under(ask, None) == ask.body


def test_under_a_plan_only_fields_that_are_read_here_go_out() -> None:
    plan = PicturePlan(treatment="rewrite", prompt="a red shape", negative_prompt="star")
    sent = body_under(ask_for(prompt_2="a star", negative_prompt="blur", seed=3), plan)
    assert sent == {"prompt": "a red shape", "negative_prompt": "blur, star", "seed": 3}


def test_texts_in_unknown_fields_are_read_behind_the_prompt() -> None:
    found = passages(ask_for(prompt_2="a cat", extra={"texts": ["a dog", 3]}, user="somebody"))
    assert [one.text for one in found] == ["a red star", "a cat", "a dog"]
    assert found[2].path == ("extra", "texts", 0)


@pytest.mark.parametrize(
    ("body", "seed", "expected"),
    [
        ({"prompt": "a", "n": 3, "seed": 5}, 7, {"prompt": "a", "n": 1, "seed": 7}),
        ({"prompt": "a"}, None, {"prompt": "a"}),
        ({"prompt": "a", "seed": 5}, None, {"prompt": "a"}),
    ],
)
def test_one_picture_is_asked_for_with_its_own_noise(
    body: dict[str, Any], seed: int | None, expected: dict[str, Any]
) -> None:
    assert one_of(body, seed) == expected


@pytest.mark.parametrize(
    ("sent", "reported", "told"),
    [
        ("a much longer prompt", 5, 3),  # by length, as Expunge itself counts
        ("a much longer prompt", 40, 20),  # by a server's own tokenizer: in proportion
        ("a red star", 17, 17),  # the prompt was the caller's own
    ],
)
def test_usage_counts_the_callers_own_prompt(sent: str, reported: int, told: int) -> None:
    usage = {
        "input_tokens": reported,
        "input_tokens_details": {"text_tokens": reported, "image_tokens": 0},
        "output_tokens": 10,
        "total_tokens": reported + 10,
    }
    album = Album(status=200, headers=[], raw=b"", envelope={"created": 1, "data": [], "usage": usage})
    answer = orjson.loads(retold(album, [{"b64_json": "AA=="}], ask_for(), sent=sent))
    assert answer["usage"]["input_tokens"] == answer["usage"]["input_tokens_details"]["text_tokens"] == told
    assert answer["usage"]["total_tokens"] == told + 10
    assert list(answer) == ["created", "data", "usage"]


def test_a_servers_word_on_what_was_drawn_does_not_leave() -> None:
    item = {"b64_json": "AA==", "seed": 3, "revised_prompt": "a red shape", "note": "changed"}
    assert retold_item(item, ask_for()) == {"b64_json": "AA==", "seed": 3, "revised_prompt": "a red star"}


async def test_a_plain_picture_has_the_size_format_and_seed_of_the_one_it_replaces() -> None:
    old = Drawn(index=1, content=painted_file("red", 1), format="png", seed=9)
    new = await grey(ask_for(size="64x64"), old)
    opened = Image.open(io.BytesIO(new.content))
    assert (opened.size, opened.format, new.index, new.seed) == ((16, 16), "PNG", 1, 9)
    assert opened.getcolors() is not None
    assert unpacked(item_of(new)) == (new.content, "png")


def test_an_item_that_gives_an_address_holds_no_picture() -> None:
    assert unpacked({"url": "https://images.example/1.png"}) is None
    assert unpacked({"b64_json": base64.b64encode(b"no picture").decode()}) is None
