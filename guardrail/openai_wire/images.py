"""`/v1/images/generations`: what a caller asks to be drawn, and the answer that holds the pictures.

The fields are those of openai-python's `ImageGenerateParams`, with four extensions that vLLM-Omni and others read, too:
`seed`, `negative_prompt`, `num_inference_steps` (or `steps`), `guidance_scale` (or `cfg_scale`). Checked is what every
server must agree on; what a model cannot do, its backend says. Unknown fields are let through, and so are values of a few
fields that servers have of their own. It fetches nothing: a picture that a server answers by address is brought by the
callable that the reader is given. Sizes in pixels.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, cast

import orjson

from guardrail.decision import Passage, Role
from guardrail.errors import ApiError, BackendError
from guardrail.openai_wire.protocol import count_tokens
from guardrail.pictures import Drawn, PictureFormat, PictureRequest

PATH = "/v1/images/generations"
MAX_PICTURES = 10
MAX_PROMPT_CHARS = 32_000
MAX_SEED = 2**62
"""The pictures behind the first one count up from it."""
MAX_STEPS = 1_000
MAX_GUIDANCE = 100.0
PIXELS_A_TOKEN = 256
"""Output tokens are squares of 16 x 16 pixels, about what OpenAI bills for a picture of high quality."""

Fetch = Callable[[str], Awaitable[bytes]]
"""Address -> bytes; raises `ApiError` where it must not or cannot be fetched."""
Link = Callable[[Drawn], str]
"""Picture -> the address under which the caller finds it."""

_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "response_format": ("url", "b64_json"),
    "output_format": ("png", "jpeg", "webp"),
    "quality": ("standard", "hd", "low", "medium", "high", "auto"),
    "background": ("transparent", "opaque", "auto"),
    "moderation": ("low", "auto"),
    "style": ("vivid", "natural"),
}
_OFTEN_OTHER: Final = ("quality", "background", "moderation", "style")
"""Fields in which servers know values of their own ("realistic_image"); `size` ("1K", "16:9") is another."""
MOST_OF_A_VALUE: Final = 64
_EFFORT: Final = {"low": 0.5, "high": 1.5, "hd": 1.5}
_SIZE: Final = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", re.ASCII)
_DATA_URL: Final = re.compile(r"data:image/[a-z0-9.+-]+;base64,", re.ASCII)


def parse(body: Mapping[str, Any], *, may_be_other: bool = False) -> PictureRequest:
    """What is asked; raises `ApiError` (400) naming the field and the mend. `may_be_other`: somebody behind may know other
    values of fields in which servers differ."""
    _refuse_streams(body)
    other = other_values(body) if may_be_other else {}
    for key, known in _CHOICES.items():
        if key not in other:
            _choice(body, key, known)
    output_compression(body)
    width, height = (None, None) if "size" in other else _size(body)
    return PictureRequest(
        prompt=_prompt(body),
        model=_text(body, "model", 1_000) or None,
        n=_whole(body, "n", 1, MAX_PICTURES) or 1,
        width=width,
        height=height,
        seed=_whole(body, "seed", 0, MAX_SEED),
        negative_prompt=_text(body, "negative_prompt", MAX_PROMPT_CHARS),
        steps=_whole(body, _one_of(body, "num_inference_steps", "steps"), 1, MAX_STEPS),
        guidance_scale=_number(body, _one_of(body, "guidance_scale", "cfg_scale"), 0.0, MAX_GUIDANCE),
        response_format="url" if body.get("response_format") == "url" else "b64_json",
        output_format=cast(PictureFormat, body.get("output_format") or "png"),
    )


def passages(request: PictureRequest) -> list[Passage]:
    """The texts that ask for something. What a caller wants to be led away from asks for nothing."""
    return [Passage(path=("prompt",), role=Role.USER, text=request.prompt)]


def other_values(body: Mapping[str, Any]) -> dict[str, str]:
    """Values that only some servers know, by field: short texts, of which nobody here knows what they make of them."""
    given = {key: body.get(key) for key in (*_OFTEN_OTHER, "size")}
    short = {key: value for key, value in given.items() if isinstance(value, str) and 0 < len(value) <= MOST_OF_A_VALUE}
    return {key: value for key, value in short.items() if not _is_known(key, value)}


def _is_known(key: str, value: str) -> bool:
    return value == "auto" or _SIZE.fullmatch(value) is not None if key == "size" else value in _CHOICES[key]


def output_compression(body: Mapping[str, Any]) -> int | None:
    """Quality of a JPEG or WebP, 0..100; None: the encoder's default. Raises 400."""
    return _whole(body, "output_compression", 0, 100)


def effort(body: Mapping[str, Any]) -> float:
    """What `quality` asks for, as a factor on a model's usual number of steps."""
    return _EFFORT.get(str(body.get("quality")), 1.0)


def usage(prompt: str, *, pictures: int, width: int, height: int, pictures_read: int = 0) -> dict[str, Any]:
    """Tokens by length and size alone: what was really sent must not show. `prompt` is the caller's own; pictures that are
    read are as large as those drawn."""
    a_picture = -(-width * height // PIXELS_A_TOKEN)
    read, seen, drawn = count_tokens(prompt), pictures_read * a_picture, pictures * a_picture
    return {
        "input_tokens": read + seen,
        "input_tokens_details": {"text_tokens": read, "image_tokens": seen},
        "output_tokens": drawn,
        "output_tokens_details": {"text_tokens": 0, "image_tokens": drawn},
        "total_tokens": read + seen + drawn,
    }


def answer(
    pictures: Sequence[Drawn], *, created: int, usage: Mapping[str, Any] | None = None, link: Link | None = None
) -> bytes:
    """The answer's body. With `link` every picture is given by address, else in itself. Seeds are an extension."""
    data: list[dict[str, Any]] = []
    for picture in sorted(pictures, key=lambda one: one.index):
        where = {"url": link(picture)} if link else {"b64_json": base64.b64encode(picture.content).decode()}
        data.append(where if picture.seed is None else {**where, "seed": picture.seed})
    body: dict[str, Any] = {"created": created, "data": data}
    if pictures:
        body["output_format"] = pictures[0].format
    return orjson.dumps(body if usage is None else {**body, "usage": dict(usage)})


async def read_answer(raw: bytes, *, fetch: Fetch | None = None) -> list[Drawn]:
    """The pictures of a server's answer, in its order; nothing else of it is kept (a revised prompt tells what was sent).

    Raises `BackendError` (502) for what is no answer or no picture. Addresses are only followed with `fetch`.
    """
    try:
        data = orjson.loads(raw)["data"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise _bad_answer("no list of pictures") from None
    if not isinstance(data, list) or not 0 < len(data) <= MAX_PICTURES:
        raise _bad_answer(f"no list of 1 to {MAX_PICTURES} pictures")
    return [await _read_one(index, item, fetch) for index, item in enumerate(data)]


async def _read_one(index: int, item: Any, fetch: Fetch | None) -> Drawn:
    fields = item if isinstance(item, dict) else {}
    inline, address, seed = fields.get("b64_json"), fields.get("url"), fields.get("seed")
    if not inline and isinstance(address, str) and (head := _DATA_URL.match(address)):
        inline = address[head.end() :]
    if isinstance(inline, str) and inline:
        content = _decoded(inline)
    elif isinstance(address, str) and address and fetch is not None:
        content = await fetch(address)
    else:
        raise _bad_answer("a picture that is neither `b64_json` nor an address that may be followed")
    found = sniff(content)
    if found is None:
        raise _bad_answer("a picture that is neither PNG nor JPEG nor WebP")
    return Drawn(index=index, content=content, format=found, seed=seed if type(seed) is int else None)


def _decoded(inline: str) -> bytes:
    try:
        return base64.b64decode(inline, validate=True)
    except (binascii.Error, ValueError):
        raise _bad_answer("a picture that is not base64") from None


def sniff(content: bytes) -> PictureFormat | None:
    """The format by its first bytes; None for any other."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if content.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    return "webp" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else None


def _bad_answer(what: str) -> BackendError:
    return BackendError(
        f"The image server answered with {what}.", status=502, type="server_error", code="backend_bad_answer"
    )


def _refuse_streams(body: Mapping[str, Any]) -> None:
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise ApiError("'stream' must be true or false.", param="stream")
    if stream:
        raise ApiError(
            "Pictures are not streamed: each is looked at as a whole first. Leave 'stream' out.",
            param="stream",
            code="unsupported_value",
        )
    if _whole(body, "partial_images", 0, 3):
        raise ApiError("Partial pictures need a stream; leave 'partial_images' out.", param="partial_images")


def _prompt(body: Mapping[str, Any]) -> str:
    prompt = _text(body, "prompt", MAX_PROMPT_CHARS)
    if not prompt.strip():
        raise ApiError("'prompt' must say what to draw.", param="prompt")
    return prompt


def _text(body: Mapping[str, Any], key: str, most: int) -> str:
    value = body.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ApiError(f"'{key}' must be text.", param=key)
    if len(value) > most:
        raise ApiError(f"'{key}' has {len(value)} characters; the most is {most}. Shorten it.", param=key)
    return value


def _choice(body: Mapping[str, Any], key: str, known: tuple[str, ...]) -> None:
    value = body.get(key)
    if value is not None and value not in known:
        raise ApiError(f"'{key}' must be one of {', '.join(known)}.", param=key)


def _size(body: Mapping[str, Any]) -> tuple[int | None, int | None]:
    size = body.get("size")
    if size is None or size == "auto":
        return None, None
    found = _SIZE.fullmatch(size) if isinstance(size, str) else None
    if found is None:
        raise ApiError("'size' must be 'auto' or WIDTHxHEIGHT in pixels, such as '512x512'.", param="size")
    return int(found[1]), int(found[2])


def _one_of(body: Mapping[str, Any], key: str, other: str) -> str:
    """Which of two names for one thing the caller uses."""
    if body.get(other) is None:
        return key
    if body.get(key) is not None and body[key] != body[other]:
        raise ApiError(f"'{key}' and '{other}' mean the same; give one of them.", param=other)
    return other


def _whole(body: Mapping[str, Any], key: str, low: int, high: int) -> int | None:
    value = body.get(key)
    if value is not None and (type(value) is not int or not low <= value <= high):
        raise ApiError(f"'{key}' must be a whole number from {low} to {high}.", param=key)
    return value


def _number(body: Mapping[str, Any], key: str, low: float, high: float) -> float | None:
    value = body.get(key)
    if value is None:
        return None
    if type(value) not in (int, float) or not low <= value <= high:
        raise ApiError(f"'{key}' must be a number from {low:g} to {high:g}.", param=key)
    return float(value)
