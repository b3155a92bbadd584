"""What a pipeline is asked for: sizes, seeds, steps and limits, as orders; and what it cannot do, as a 400."""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson
import pytest

from guardrail.backends.diffusers_wire import SEEDS, Asked, can_be_led_away, read
from guardrail.errors import ApiError
from guardrail.settings import DrawingSettings
from tests.fakes.stub_pipelines import FACTS


def ask(*, drawing: DrawingSettings | None = None, facts: Any = FACTS, **fields: Any) -> Asked:
    raw = orjson.dumps({"prompt": "a square", **fields})
    return read("/v1/images/generations", raw, facts=facts, drawing=drawing or DrawingSettings(), models=["m"])


def test_nothing_is_ordered_that_was_not_asked_for() -> None:
    (order,) = ask(seed=4).orders
    assert (order.width, order.height, order.steps, order.guidance_scale) == (None, None, None, None)
    assert (order.seeds, order.negative_prompt, order.steering) == ((4,), "", None)


def test_each_picture_has_a_pass_and_a_seed_of_its_own() -> None:
    asked = ask(n=3, seed=10)
    assert [order.seeds for order in asked.orders] == [(10,), (11,), (12,)]
    assert asked.seeds == (10, 11, 12)


def test_pictures_share_a_pass_where_the_operator_says_so() -> None:
    asked = ask(n=5, seed=0, drawing=DrawingSettings(at_once=2))
    assert [order.seeds for order in asked.orders] == [(0, 1), (2, 3), (4,)]
    alone = dataclasses.replace(FACTS, takes=FACTS.takes - {"num_images_per_prompt"})
    assert len(ask(n=5, facts=alone, drawing=DrawingSettings(at_once=2)).orders) == 5


def test_without_a_seed_one_is_drawn() -> None:
    seeds = {ask().seeds[0] for _ in range(20)}
    assert len(seeds) > 15
    assert all(0 <= seed < SEEDS for seed in seeds)


def test_the_operators_defaults_stand_behind_the_callers_words() -> None:
    drawing = DrawingSettings(steps=9, guidance_scale=3.0, size="32x24")
    (order,) = ask(drawing=drawing).orders
    assert (order.steps, order.guidance_scale, order.width, order.height) == (9, 3.0, 32, 24)
    (order,) = ask(drawing=drawing, steps=5, guidance_scale=1, size="64x64").orders
    assert (order.steps, order.guidance_scale, order.width, order.height) == (5, 1.0, 64, 64)


@pytest.mark.parametrize(("quality", "steps"), [("low", 2), ("medium", None), ("auto", None), ("hd", 6)])
def test_quality_changes_the_number_of_steps(quality: str, steps: int | None) -> None:
    assert ask(quality=quality).orders[0].steps == steps


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"size": "20x16"}, "size"),
        ({"size": "2056x16"}, "size"),
        ({"size": "264x8"}, "size"),
        ({"size": "0016x16"}, "size"),
        ({"n": 5}, "n"),
        ({"steps": 151}, "num_inference_steps"),
        ({"background": "transparent"}, "background"),
        ({"stream": True}, "stream"),
    ],
)
def test_what_cannot_be_drawn_is_a_400_that_names_the_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        ask(drawing=DrawingSettings(max_pictures=4), **fields)
    assert (caught.value.status, caught.value.param) == (400, param)


def test_a_wrong_size_is_answered_with_one_that_fits() -> None:
    with pytest.raises(ApiError, match="multiples of 8 for this model, such as 16x24"):
        ask(size="20x25")


def test_only_the_sizes_that_the_operator_lists_are_drawn() -> None:
    drawing = DrawingSettings(sizes=("16x16", "32x16"))
    assert ask(drawing=drawing, size="32x16").orders[0].width == 32
    with pytest.raises(ApiError, match="one of 16x16, 32x16"):
        ask(drawing=drawing, size="64x64")


def test_a_side_too_short_for_the_models_levels_is_refused() -> None:
    with pytest.raises(ApiError, match="no side under 64"):
        ask(facts=dataclasses.replace(FACTS, least=64), size="32x64")


def test_a_distilled_model_refuses_negative_prompts() -> None:
    distilled = dataclasses.replace(FACTS, can_be_led_away=False)
    with pytest.raises(ApiError) as caught:
        ask(facts=distilled, negative_prompt="blurry")
    assert caught.value.param == "negative_prompt"
    assert ask(negative_prompt="blurry").orders[0].negative_prompt == "blurry"


def test_a_model_that_is_run_with_little_guidance_cannot_be_led_away() -> None:
    assert can_be_led_away(FACTS, DrawingSettings())
    assert can_be_led_away(FACTS, DrawingSettings(guidance_scale=3.0))
    for scale in (0, 1.01, 2.9):
        assert not can_be_led_away(FACTS, DrawingSettings(guidance_scale=scale))
    assert not can_be_led_away(dataclasses.replace(FACTS, can_be_led_away=False), DrawingSettings())


@pytest.mark.parametrize("raw", [b"{", b"[]", b'"x"'])
def test_a_body_that_is_no_object_is_a_400(raw: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        read("/v1/images/generations", raw, facts=FACTS, drawing=DrawingSettings(), models=["m"])
    assert caught.value.status == 400
