"""Request bodies of the diffusion backend: what is asked, checked against what the pipeline can draw, as orders.

The fields themselves are read by `openai_wire.images`; here stands what depends on the pipeline and on the operator's
limits. What neither the caller nor the operator says is left to the pipeline. It draws nothing. Sizes in pixels.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from guardrail.backends.diffusers_drawing import BegunFrom, Order
from guardrail.backends.diffusers_loading import PipelineFacts
from guardrail.denoising.pipelines import LEAST_GUIDANCE
from guardrail.errors import ApiError, not_found, unknown_model
from guardrail.openai_wire import images, picture_edits
from guardrail.pictures import PictureRequest, Steering
from guardrail.settings import DrawingSettings
from retrieval.picture_files import PictureRefused, open_picture, open_transparency

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
    headers: Sequence[tuple[bytes, bytes]] = (),
    facts: PipelineFacts,
    drawing: DrawingSettings,
    models: list[str],
    steering: Steering | None = None,
) -> Asked:
    """Check and prepare a request; raises `ApiError` (400, 404) naming the field and the mend."""
    is_edit = path == picture_edits.PATH and facts.can_edit
    if path != images.PATH and not is_edit:
        raise not_found(f"The route '{path}'")
    body = picture_edits.read_form(raw, headers) if is_edit else _decode(raw)
    model = body.get("model", models[0])
    if model not in models:
        raise unknown_model(str(model), models)
    request = picture_edits.parse(body) if is_edit else images.parse(body)
    if body.get("background") == "transparent":
        raise ApiError("This model draws no transparent background; leave it out.", param="background")
    if request.n > drawing.max_pictures:
        raise ApiError(f"'n' must be at most {drawing.max_pictures}; ask again for more.", param="n")
    _check_negative_prompt(request, facts)
    picture = begun_from(request, facts, drawing) if is_edit else None
    width, height = picture.size if picture is not None else _size(request, facts, drawing)
    steps = _steps(body, request, facts, drawing)
    _check_strength(request, steps or facts.steps)
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
            steps=steps,
            guidance_scale=drawing.guidance_scale if request.guidance_scale is None else request.guidance_scale,
            format=request.output_format,
            compression=images.output_compression(body),
            steering=steering,
            picture=picture,
            strength=request.strength,
        )
        for start in range(0, request.n, at_once)
    )
    return Asked(request=request, orders=orders, seeds=seeds)


def begun_from(request: PictureRequest, facts: PipelineFacts, drawing: DrawingSettings) -> BegunFrom:
    """The picture of an edit in the size that is drawn; raises `ApiError` (400). Blocking: opens the files."""
    if len(request.pictures) > 1:
        raise ApiError("This model changes one picture at a time.", param="image", code="unsupported_value")
    try:
        picture = open_picture(request.pictures[0])
        mask = None if request.mask is None else open_transparency(request.mask)
    except PictureRefused as error:
        raise ApiError(f"A picture {error}", param="image", code="invalid_image") from None
    if mask is not None and mask.size != picture.size:
        raise ApiError("'mask' must be of the same size as 'image'.", param="mask")
    size = _edited_size(request, picture.size, facts, drawing)
    return BegunFrom(
        size=size, pixels=picture.resize(size).tobytes(), new=None if mask is None else mask.resize(size).tobytes()
    )


def _edited_size(
    request: PictureRequest, own: tuple[int, int], facts: PipelineFacts, drawing: DrawingSettings
) -> tuple[int, int]:
    """What is asked, else the picture's own size, as near as may be drawn."""
    if request.width is not None:
        width, height = _size(request, facts, drawing)
        if width is not None and height is not None:
            return width, height
    if drawing.sizes:
        allowed = [(int(width), int(height)) for width, _, height in (one.partition("x") for one in drawing.sizes)]
        return min(allowed, key=lambda one: abs(one[0] * own[1] - one[1] * own[0]) / one[1])
    scale = min(1.0, drawing.max_edge / max(own))
    width, height = (max(facts.least, int(side * scale) // facts.multiple * facts.multiple) for side in own)
    return width, height


def _check_strength(request: PictureRequest, steps: int | None) -> None:
    if request.strength is not None and steps is not None and int(steps * request.strength) < 1:
        raise ApiError(
            f"'strength' {request.strength:g} of {steps} steps draws nothing; raise one of them.", param="strength"
        )


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
