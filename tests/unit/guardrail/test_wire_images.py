"""Bodies of picture requests and answers: what is read, what is refused and how, and what an answer looks like."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from openai.types import ImagesResponse

from guardrail.errors import ApiError, BackendError
from guardrail.openai_wire import images
from guardrail.pictures import Drawn

PNG = b"\x89PNG\r\n\x1a\n" + b"rest of a picture"
JPEG = b"\xff\xd8\xff" + b"rest of a picture"
WEBP = b"RIFF\x00\x00\x00\x00WEBP" + b"rest of a picture"


def body(**fields: Any) -> dict[str, Any]:
    return {"prompt": "a red circle", **fields}


def test_a_bare_prompt_leaves_everything_to_the_pipeline() -> None:
    asked = images.parse(body())
    assert (asked.prompt, asked.n, asked.width, asked.height, asked.seed) == ("a red circle", 1, None, None, None)
    assert (asked.response_format, asked.output_format, asked.negative_prompt) == ("b64_json", "png", "")
    assert asked.steps is None
    assert asked.guidance_scale is None


def test_every_field_of_a_full_request_is_read() -> None:
    asked = images.parse(
        body(
            model="m", n=3, size="512x768", seed=7, negative_prompt="blurry", num_inference_steps=12, guidance_scale=4,
            response_format="url", output_format="webp", output_compression=80, quality="hd", style="vivid", user="u",
            background="opaque", moderation="low", stream=False, partial_images=0,
        )
    )  # fmt: skip
    assert (asked.width, asked.height, asked.n, asked.seed, asked.model) == (512, 768, 3, 7, "m")
    assert (asked.steps, asked.guidance_scale, asked.negative_prompt) == (12, 4.0, "blurry")
    assert (asked.response_format, asked.output_format) == ("url", "webp")


def test_steps_and_guidance_go_by_their_other_names_too() -> None:
    asked = images.parse(body(steps=9, cfg_scale=2.5))
    assert (asked.steps, asked.guidance_scale) == (9, 2.5)


def test_nulls_are_the_same_as_nothing() -> None:
    nulls = dict.fromkeys(("model", "n", "size", "seed", "quality", "stream", "response_format", "steps"))
    assert images.parse(body(**nulls)) == images.parse(body())


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("prompt", "", "prompt"),
        ("prompt", "  \n", "prompt"),
        ("prompt", ["a", "b"], "prompt"),
        ("prompt", "x" * 32_001, "prompt"),
        ("negative_prompt", 3, "negative_prompt"),
        ("n", 0, "n"),
        ("n", 11, "n"),
        ("n", True, "n"),
        ("n", "2", "n"),
        ("size", "large", "size"),
        ("size", "0x512", "size"),
        ("size", "512×512", "size"),
        ("size", "999999x8", "size"),
        ("size", [512, 512], "size"),
        ("seed", -1, "seed"),
        ("seed", 2**63, "seed"),
        ("seed", 1.5, "seed"),
        ("steps", 0, "steps"),
        ("num_inference_steps", 10**9, "num_inference_steps"),
        ("guidance_scale", "high", "guidance_scale"),
        ("guidance_scale", 1e9, "guidance_scale"),
        ("response_format", "file", "response_format"),
        ("output_format", "gif", "output_format"),
        ("output_format", ["png"], "output_format"),
        ("output_compression", 101, "output_compression"),
        ("quality", "best", "quality"),
        ("style", "dull", "style"),
        ("background", "green", "background"),
        ("moderation", "none", "moderation"),
        ("model", 5, "model"),
        ("stream", True, "stream"),
        ("stream", "yes", "stream"),
        ("partial_images", 2, "partial_images"),
    ],
)
def test_a_wrong_field_is_a_400_that_names_it(field: str, value: object, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        images.parse(body(**{field: value}))
    assert (caught.value.status, caught.value.param) == (400, param)


def test_two_names_for_one_thing_must_agree() -> None:
    assert images.parse(body(steps=5, num_inference_steps=5)).steps == 5
    with pytest.raises(ApiError) as caught:
        images.parse(body(steps=5, num_inference_steps=6))
    assert caught.value.param == "steps"


def test_an_error_never_repeats_the_prompt() -> None:
    with pytest.raises(ApiError) as caught:
        images.parse({"prompt": "Secret Name " * 4000})
    assert "Secret" not in str(caught.value)


def test_the_clients_own_types_read_an_answer() -> None:
    raw = images.answer(
        [Drawn(index=1, content=JPEG, format="jpeg", seed=8), Drawn(index=0, content=PNG, format="jpeg", seed=7)],
        created=123,
        usage=images.usage("a red circle", pictures=2, width=64, height=32),
    )
    read = ImagesResponse.model_validate_json(raw, strict=True)
    assert read.created == 123
    assert [base64.b64decode(one.b64_json or "") for one in read.data or ()] == [PNG, JPEG]
    assert [one["seed"] for one in orjson.loads(raw)["data"]] == [7, 8]
    assert read.usage is not None
    assert read.usage.output_tokens == 2 * (64 * 32 // 256)
    assert read.usage.total_tokens == read.usage.input_tokens + read.usage.output_tokens


def test_an_answer_by_address_holds_no_picture() -> None:
    raw = images.answer([Drawn(index=0, content=PNG)], created=1, link=lambda picture: f"http://here/{picture.index}")
    assert orjson.loads(raw)["data"] == [{"url": "http://here/0"}]


async def test_what_is_answered_is_read_back() -> None:
    drawn = [Drawn(index=0, content=PNG, seed=3), Drawn(index=1, content=WEBP, format="webp")]
    assert await images.read_answer(images.answer(drawn, created=1)) == drawn


async def test_addresses_are_followed_by_the_callable_only() -> None:
    raw = orjson.dumps({"created": 1, "data": [{"url": "https://cdn.example/a.png", "revised_prompt": "x"}]})

    async def fetch(address: str) -> bytes:
        assert address == "https://cdn.example/a.png"
        return JPEG

    assert await images.read_answer(raw, fetch=fetch) == [Drawn(index=0, content=JPEG, format="jpeg")]
    with pytest.raises(BackendError):
        await images.read_answer(raw)


async def test_a_data_address_needs_no_fetching() -> None:
    inline = "data:image/png;base64," + base64.b64encode(PNG).decode()
    assert (await images.read_answer(orjson.dumps({"data": [{"url": inline}]})))[0].content == PNG


@pytest.mark.parametrize(
    "raw",
    [
        b"not json",
        b"[]",
        b'"data"',
        b'{"data": null}',
        b'{"data": []}',
        b'{"data": ["x"]}',
        b'{"data": [{"b64_json": ""}]}',
        b'{"data": [{"b64_json": "***"}]}',
        b'{"data": [{"b64_json": "R0lGODlhAQABAAAAACw="}]}',
        b'{"data": [{"b64_json": 5}]}',
        orjson.dumps({"data": [{"b64_json": base64.b64encode(PNG).decode()}] * 11}),
    ],
)
async def test_an_answer_without_pictures_is_a_502(raw: bytes) -> None:
    with pytest.raises(BackendError) as caught:
        await images.read_answer(raw)
    assert (caught.value.status, caught.value.code) == (502, "backend_bad_answer")


def test_the_prompt_is_the_only_text_that_asks_for_something() -> None:
    found = images.passages(images.parse(body(negative_prompt="a star")))
    assert [(one.path, one.text) for one in found] == [(("prompt",), "a red circle")]


@pytest.mark.parametrize(
    "fields", [{"style": "realistic_image"}, {"quality": "ultra"}, {"size": "16:9"}, {"background": "sky"}]
)
def test_values_that_only_some_servers_know_are_let_through_where_somebody_behind_may(fields: dict[str, Any]) -> None:
    asked = images.parse(body(**fields), may_be_other=True)
    assert (asked.width, asked.height) == (None, None)
    assert images.other_values(body(**fields)) == fields
    with pytest.raises(ApiError):
        images.parse(body(**fields))


@pytest.mark.parametrize("fields", [{"style": "x" * 65}, {"style": 3}, {"size": ["1K"]}, {"output_format": "gif"}])
def test_nobody_may_know_what_is_no_short_text_or_is_read_here(fields: dict[str, Any]) -> None:
    with pytest.raises(ApiError):
        images.parse(body(**fields), may_be_other=True)
    assert images.other_values(body(size="64x64", style="vivid", quality="auto")) == {}
