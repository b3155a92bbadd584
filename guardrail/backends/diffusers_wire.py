"""Request bodies of the diffusion backend: what is asked, checked against what the pipeline can draw, as orders.

The fields themselves are read by `openai_wire.images`; here stands what depends on the pipeline and on the operator's
limits. What neither the caller nor the operator says is left to the pipeline. It draws nothing. Sizes in pixels.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from guardrail.backends.diffusers_drawing import Order
from guardrail.backends.diffusers_loading import PipelineFacts
from guardrail.denoising.pipelines import LEAST_GUIDANCE
from guardrail.errors import ApiError, not_found, unknown_model
from guardrail.openai_wire import images
from guardrail.pictures import PictureRequest, Steering
from guardrail.settings import DrawingSettings

SEEDS = 2**32
"""Drawn seeds lie below it."""
MOST_ASPECT = 32
"""How many times as long as the other a side may be: longer strips cannot be looked at (`retrieval.picture_files`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A checked request: its passes, and the seed of every picture."""

    request: PictureRequest
    orders: tuple[Order, ...]
    seeds: tuple[int, ...]


def read(
    path: str,
    raw: bytes,
    *,
    facts: PipelineFacts,
    drawing: DrawingSettings,
    models: list[str],
    steering: Steering | None = None,
) -> Asked:
    """Check and prepare a request; raises `ApiError` (400, 404) naming the field and the mend."""
    if path != images.PATH:
        raise not_found(f"The route '{path}'")
    body = _decode(raw)
    model = body.get("model", models[0])
    if model not in models:
        raise unknown_model(str(model), models)
    request = images.parse(body)
    if body.get("background") == "transparent":
        raise ApiError("This model draws no transparent background; leave it out.", param="background")
    if request.n > drawing.max_pictures:
        raise ApiError(f"'n' must be at most {drawing.max_pictures}; ask again for more.", param="n")
    _check_negative_prompt(request, facts)
    width, height = _size(request, facts, drawing)
    first = secrets.randbelow(SEEDS) if request.seed is None else request.seed
    seeds = tuple(first + place for place in range(request.n))
    at_once = drawing.at_once if "num_images_per_prompt" in facts.takes else 1
    orders = tuple(
        Order(
            prompt=request.prompt,
            seeds=seeds[start : start + at_once],
            negative_prompt=request.negative_prompt,
            width=width,
            height=height,
            steps=_steps(body, request, facts, drawing),
            guidance_scale=drawing.guidance_scale if request.guidance_scale is None else request.guidance_scale,
            format=request.output_format,
            compression=images.output_compression(body),
            steering=steering,
        )
        for start in range(0, request.n, at_once)
    )
    return Asked(request=request, orders=orders, seeds=seeds)


def can_be_led_away(facts: PipelineFacts, drawing: DrawingSettings) -> bool:
    """True if negative prompts have an effect that counts: not at the low guidance that turbo models are set to."""
    guidance = facts.guidance_scale if drawing.guidance_scale is None else drawing.guidance_scale
    return facts.can_be_led_away and (guidance is None or guidance >= LEAST_GUIDANCE)


def _decode(raw: bytes) -> Mapping[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise ApiError("The body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise ApiError("The body must be a JSON object.")
    return body


def _check_negative_prompt(request: PictureRequest, facts: PipelineFacts) -> None:
    if request.negative_prompt and not facts.can_be_led_away:
        raise ApiError(
            "This model does not follow negative prompts; leave 'negative_prompt' out.",
            param="negative_prompt",
            code="unsupported_value",
        )


def _steps(
    body: Mapping[str, Any], request: PictureRequest, facts: PipelineFacts, drawing: DrawingSettings
) -> int | None:
    if request.steps is not None:
        if request.steps > drawing.max_steps:
            raise ApiError(f"At most {drawing.max_steps} steps are drawn.", param="num_inference_steps")
        return request.steps
    usual, effort = drawing.steps, images.effort(body)
    if effort == 1:
        return usual
    usual = usual or facts.steps
    return None if usual is None else max(1, min(drawing.max_steps, round(usual * effort)))


def _size(request: PictureRequest, facts: PipelineFacts, drawing: DrawingSettings) -> tuple[int | None, int | None]:
    """What is drawn; (None, None) leaves it to the pipeline."""
    width, height = request.width, request.height
    if width is None or height is None:
        if drawing.size is None:
            return None, None
        width, height = map(int, drawing.size.split("x"))
        return width, height
    if drawing.sizes and f"{width}x{height}" not in drawing.sizes:
        raise ApiError(f"'size' must be one of {', '.join(drawing.sizes)}.", param="size")
    longest, shortest = max(width, height), min(width, height)
    if longest > drawing.max_edge:
        raise ApiError(f"'size' must have no side over {drawing.max_edge} pixels.", param="size")
    if longest > MOST_ASPECT * shortest:
        raise ApiError(f"'size' must have no side over {MOST_ASPECT} times the other.", param="size")
    if shortest < facts.least:
        raise ApiError(f"'size' must have no side under {facts.least} pixels for this model.", param="size")
    if width % facts.multiple or height % facts.multiple:
        near = "x".join(str(max(facts.least, side - side % facts.multiple)) for side in (width, height))
        raise ApiError(
            f"'size' must have sides that are multiples of {facts.multiple} for this model, such as {near}.",
            param="size",
        )
    return width, height
