"""What goes to a backend that draws, and what of its answer goes on."""

from __future__ import annotations

import base64
import io
from typing import Any

import orjson
import pytest
from PIL import Image

from guardrail.decision import Caller
from guardrail.errors import ApiError
from guardrail.openai_wire import images
from guardrail.picture_sending import (
    Album,
    PictureAsk,
    body_under,
    grey,
    item_of,
    one_of,
    passages,
    refuse_unreadable,
    retold,
    retold_item,
    unpacked,
)
from guardrail.pictures import Drawn, PicturePlan
from tests.fakes.small_pictures import painted_file


def ask_for(**fields: Any) -> PictureAsk:
    body = {"prompt": "a red star", **fields}
    asked = images.parse(body, may_be_other=True)
    return PictureAsk(asked=asked, body=body, raw=orjson.dumps(body), caller=Caller(), request_id="req_1")


def test_without_a_plan_the_body_is_the_callers_own() -> None:
    ask = ask_for(prompt_2="and a cat", n=2)
    assert body_under(ask, None) == ask.body


UNDER = PicturePlan(treatment="rewrite", prompt="a red shape", negative_prompt="star")


def test_under_a_plan_only_texts_that_are_read_here_go_out_and_the_plans_words_come_first() -> None:
    sent = body_under(ask_for(prompt_2="a star", negative_prompt="blur", seed=3), UNDER)
    assert sent == {"prompt": "a red shape", "negative_prompt": "star, blur", "seed": 3}


def test_under_a_plan_settings_without_words_go_out_unless_they_undo_it() -> None:
    settings = {"true_cfg_scale": 4.0, "layers": [1, 2], "tiled": True, "lora": {"scale": 1.0}, "steps_of": None}
    sent = body_under(ask_for(**settings, loras=[{"path": "a", "scale": 1}]), UNDER)
    assert {key: sent.get(key) for key in settings} == settings
    assert "loras" not in sent
    weak = {"true_cfg_scale": 1.0, "more": {"CFG": 1}}
    assert set(body_under(ask_for(**weak), UNDER)) == {"prompt", "negative_prompt"}
    assert set(body_under(ask_for(**weak), PicturePlan(treatment="rewrite", prompt="a red shape"))) == {"prompt", *weak}


def test_a_servers_own_style_goes_out_unless_an_entry_was_met_in_it_or_it_is_prose() -> None:
    ask = ask_for(style="realistic_image", size="16:9", quality="by night")
    assert passages(ask)[1].path == ("quality",)
    assert [one.text for one in passages(ask)[1:]] == ["by night", "realistic_image", "16:9"]
    assert set(body_under(ask, UNDER)) == {"prompt", "negative_prompt", "style", "size"}
    assert set(body_under(ask, UNDER, met_in={"style"})) == {"prompt", "negative_prompt", "size"}


def test_texts_in_unknown_fields_and_the_names_of_values_are_read_behind_the_prompt() -> None:
    found = passages(ask_for(prompt_2="a cat", extra={"texts": ["a dog", 3]}, user="somebody"))
    assert [one.text for one in found] == ["a red star", "a cat", "texts", "a dog"]
    assert found[3].path == ("extra", "texts", 0)


@pytest.mark.parametrize("fields", [{"a": ["x"] * 64, "prompt_2": "star"}, {"a": "x" * 32_000, "prompt_2": "star"}])
def test_more_texts_than_are_read_are_refused_and_never_cut(fields: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as caught:
        refuse_unreadable(ask_for(**fields))
    assert (caught.value.status, caught.value.param) == (400, "prompt_2")
    fields.pop("prompt_2")
    refuse_unreadable(ask_for(**fields))
    assert len(passages(ask_for(**fields))) == 1 + len(fields["a"] if isinstance(fields["a"], list) else [1])


def test_a_picture_that_is_handed_in_is_no_text() -> None:
    refuse_unreadable(ask_for(image=f"data:image/png;base64,{'A' * 100_000}"))


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
