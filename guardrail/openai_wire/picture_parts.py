"""Pictures on the routes for text: what asks a chat or a response to draw, and what of an answer is a picture.

Some servers draw on `/v1/chat/completions` (`modalities`, pictures as parts of the message) and `/v1/responses` (the tool
`image_generation`). What holds for pictures is only carried out at `/v1/images/generations`, so those who must not let
pictures pass elsewhere ask here. Pure; it does not know when that is. Shapes: OpenAI's API reference, vLLM-Omni,
OpenRouter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from guardrail.errors import ApiError
from guardrail.openai_wire.protocol import Body

_KINDS_ASKED: Final = ("modalities", "output_modalities", "response_modalities")
_TOOL: Final = "image_generation"
_HOLDERS: Final = ("content", "outputs", "output", "results", "result")
_INLINE: Final = re.compile(r"data:image/[\w.+-]{1,40};base64,[A-Za-z0-9+/]{64}", re.ASCII)
_SHORTEST_INLINE: Final = 88
"""Shorter texts hold no picture; pieces of a streamed answer mostly are."""


def pictures_elsewhere(param: str | None = None) -> ApiError:
    """400: this route gives no pictures. It says the same whatever is registered, and whoever asks."""
    return ApiError(
        "This deployment gives pictures at /v1/images/generations only; ask for text here.",
        param=param,
        code="unsupported_value",
        should_retry=False,
    )


def asks_for_pictures(body: Body) -> str | None:
    """The field by which a request asks to be answered with pictures; None where it does not."""
    for holder in (body, body.get("extra_body")):
        if not isinstance(holder, Mapping):
            continue
        for key in _KINDS_ASKED:
            if any("image" in str(kind).lower() for kind in _listed(holder.get(key))):
                return key
        for key in ("tools", "tool_choice"):
            given = [one for one in _listed(holder.get(key)) if isinstance(one, Mapping)]
            if any(str(one.get("type")).startswith(_TOOL) for one in given):
                return key
    return None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def holds_pictures(value: Body) -> bool:
    """True if a whole answer or one event of it brings a picture."""
    if str(value.get("type", "")).startswith(f"response.{_TOOL}"):
        return True
    for choice in value.get("choices") or ():
        said = choice.get("delta") or choice.get("message")
        if said and (said.get("images") or said.get("image") or any(map(_is_picture, said.values()))):
            return True
    response = value.get("response")
    output = (response if isinstance(response, Mapping) else value).get("output")
    return any(map(_is_picture, (output, value.get("item"), value.get("part"))))


def _is_picture(value: Any) -> bool:
    """True for a picture, and for a part or a list of parts with one in it."""
    if isinstance(value, str):
        return len(value) >= _SHORTEST_INLINE and _INLINE.search(value) is not None
    if isinstance(value, list):
        return any(map(_is_picture, value))
    if not isinstance(value, Mapping):
        return False
    return "image" in str(value.get("type", "")) or any(_is_picture(value.get(key)) for key in (*_HOLDERS, "text"))
