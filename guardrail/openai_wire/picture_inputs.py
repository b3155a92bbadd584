"""Pictures that a chat or a response brings with it: where they sit, and whether they can be looked at.

Only data URLs can: what an address gives may be another picture for the model than for whoever looks. Pure; it opens
nothing. Shapes: OpenAI's API reference (`image_url` and `input_image` parts, screenshots of computer calls, files by id),
vLLM (`image_embeds`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from guardrail.decision import JsonPath
from guardrail.openai_wire.protocol import Body

_KEYS: Final = ("image_url", "image_embeds", "image")
_TEXT_PARTS: Final = {"input_image": "input_text", "computer_screenshot": "input_text"}


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureInput:
    """A picture in a request. `part`: where the object that holds it sits; `url`: "" where it is given by no URL."""

    part: JsonPath
    url: str

    @property
    def is_inline(self) -> bool:
        """True if the picture itself is there."""
        return self.url[:5].lower() == "data:"


def pictures_in(body: Body) -> list[PictureInput]:
    """All pictures of a conversation, in order."""
    return [one for field in ("messages", "input") for one in _below(body.get(field), (field,))]


def as_text_part(part: Mapping[str, Any], text: str) -> dict[str, Any]:
    """A part with words, in the place of one that holds a picture."""
    return {"type": _TEXT_PARTS.get(str(part.get("type")), "text"), "text": text}


def _below(value: Any, path: JsonPath) -> Iterator[PictureInput]:
    if isinstance(value, Mapping):
        url = _url_of(value)
        if url is not None:
            yield PictureInput(part=path, url=url)
            return
        for key, item in value.items():
            if isinstance(item, (Mapping, list)):
                yield from _below(item, (*path, key))
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        for index, item in enumerate(value):
            if isinstance(item, (Mapping, list)):
                yield from _below(item, (*path, index))


def _url_of(part: Mapping[str, Any]) -> str | None:
    """The URL of a part's picture; None where it holds none."""
    if part.get("type") in ("input_image", "computer_screenshot") and not part.get("image_url"):
        return ""
    for key in _KEYS:
        given = part.get(key)
        if isinstance(given, str) and given and (key != "image" or part.get("type") == "image"):
            return given if key == "image_url" or given[:5].lower() == "data:" else ""
        if isinstance(given, Mapping) and (key != "image" or part.get("type") == "image"):
            return str(given.get("url") or "")
    return None
