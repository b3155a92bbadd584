"""`/v1/images/edits`: the form in which a caller hands in pictures and says what shall become of them.

OpenAI's is `multipart/form-data`: `image` or `image[]` (one file or several), `mask` (transparent where something new shall
be), and the fields of `/v1/images/generations` as texts. A form is read into a body like that of the sibling, numbers as
numbers and pictures as data URLs, so that all behind reads one shape; and written again where a treatment changed it.
`strength` (0..1, how much of the picture is drawn anew) is an extension that diffusers' pipelines read. It opens no file.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from guardrail.errors import ApiError
from guardrail.openai_wire import images
from guardrail.openai_wire.picture_inputs import PictureInput
from guardrail.pictures import PictureRequest

PATH = "/v1/images/edits"
MAX_INPUTS = 16
MAX_PARTS = 256
_PICTURES: Final = ("image", "mask")
_WHOLE: Final = frozenset(
    ("n", "seed", "num_inference_steps", "steps", "output_compression", "partial_images"),
)
_NUMBERS: Final = frozenset(("guidance_scale", "cfg_scale", "strength"))
_TRUTHS: Final = {"true": True, "false": False}
Headers = Sequence[tuple[bytes, bytes]]


def read_form(raw: bytes, headers: Headers) -> dict[str, Any]:
    """The body that a form stands for: `image` is a list of data URLs, `mask` one. Raises `ApiError` (400, 415)."""
    body: dict[str, Any] = {}
    for name, is_file, content in _parts(raw, _boundary(headers)):
        key = name.removesuffix("[]")
        if is_file and key not in _PICTURES:
            raise ApiError("Files are read as 'image' and 'mask' only; leave the others out.", code="unsupported_value")
        if key in _PICTURES and not is_file:
            raise ApiError(f"'{key}' must be a file in the form.", param=key)
        if key == "image":
            body.setdefault(key, []).append(data_url(content))
        elif key in body:
            raise ApiError(f"'{key[:40]}' stands there twice; give it once.", param=key[:40])
        elif key == "mask":
            body[key] = data_url(content)
        else:
            body[key] = _value(key, content)
    return body


def write_form(body: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """(the form, its content type) of a body as `read_form` gives it."""
    boundary = secrets.token_hex(16).encode()
    many = len(body.get("image") or ()) > 1
    pieces: list[bytes] = []
    for key, value in body.items():
        for one in value if key == "image" else [value]:
            name = "image[]" if key == "image" and many else key
            pieces += [b"--", boundary, b"\r\n", *_part(name, one, is_file=key in _PICTURES), b"\r\n"]
    return b"".join([*pieces, b"--", boundary, b"--\r\n"]), b"multipart/form-data; boundary=" + boundary


def parse(body: Mapping[str, Any], *, may_be_other: bool = False) -> PictureRequest:
    """What is asked; raises `ApiError` (400) naming the field and the mend."""
    pictures = body.get("image") or ()
    if not pictures:
        raise ApiError("'image' must be the picture to change, as a file.", param="image")
    if len(pictures) > MAX_INPUTS:
        raise ApiError(f"'image' holds more than {MAX_INPUTS} pictures; send fewer.", param="image")
    strength = body.get("strength")
    if strength is not None and (type(strength) not in (int, float) or not 0 < strength <= 1):
        raise ApiError("'strength' must be a number above 0 and at most 1.", param="strength")
    mask = body.get("mask")
    return replace(
        images.parse(body, may_be_other=may_be_other),
        pictures=tuple(map(content_of, pictures)),
        mask=content_of(mask) if mask is not None else None,
        strength=None if strength is None else float(strength),
    )


def handed_in(body: Mapping[str, Any]) -> list[PictureInput]:
    """The pictures of a body, for whoever looks at them; a mask is one, as some servers read more of it than where it is
    transparent."""
    pictures = [PictureInput(part=("image", place), url=url) for place, url in enumerate(body.get("image") or ())]
    return [*pictures, PictureInput(part=("mask",), url=body["mask"])] if "mask" in body else pictures


def content_of(url: str) -> bytes:
    """The bytes of a picture as `read_form` gives it."""
    try:
        return base64.b64decode(url.partition(",")[2], validate=True)
    except (binascii.Error, ValueError):
        raise ApiError("A picture is not base64.", param="image") from None


def data_url(content: bytes) -> str:
    """A picture as `read_form` gives it. What it really is is told by whoever opens it."""
    kind = images.sniff(content) or "gif"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _boundary(headers: Headers) -> bytes:
    told = next((value for name, value in headers if name.lower() == b"content-type"), b"")
    kind, options = parse_options_header(told)
    boundary = options.get(b"boundary")
    if kind.lower() != b"multipart/form-data" or not boundary:
        raise ApiError(
            "Pictures to change come as a form; send multipart/form-data, as OpenAI's clients do.",
            status=415,
            code="unsupported_media_type",
        )
    return boundary


def _parts(raw: bytes, boundary: bytes) -> list[tuple[str, bool, bytes]]:
    """(name, is a file, content) of every part, in order."""
    reader = _Reader()
    try:
        parser = MultipartParser(boundary, reader.callbacks())
        parser.write(raw)
        parser.finalize()
    except (FormParserError, UnicodeDecodeError):
        raise ApiError("The body is no valid form.", code="invalid_form") from None
    if not reader.is_whole:
        raise ApiError("The body is no whole form; its end is missing.", code="invalid_form")
    return reader.parts


class _Reader:
    """Collects what the parser meets."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, bool, bytes]] = []
        self.is_whole = False
        self._field, self._value, self._content = bytearray(), bytearray(), bytearray()
        self._headers: dict[bytes, bytes] = {}

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header,
            "on_part_data": lambda data, start, end: self._content.extend(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._close,
        }

    def _begin(self) -> None:
        self._headers = {}
        self._content = bytearray()

    def _header(self) -> None:
        self._headers[bytes(self._field).lower()] = bytes(self._value)
        self._field, self._value = bytearray(), bytearray()

    def _end(self) -> None:
        kind, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name")
        if kind != b"form-data" or not name or len(self.parts) >= MAX_PARTS:
            raise FormParserError("a part without a name, or too many")
        self.parts.append((name.decode(), b"filename" in options, bytes(self._content)))

    def _close(self) -> None:
        self.is_whole = True


def _value(key: str, content: bytes) -> Any:
    """A field's text as what it means; what it cannot mean stays a text, so that its reader names the mend."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ApiError(f"'{key[:40]}' is no text.", param=key[:40]) from None
    try:
        if key in _WHOLE:
            return int(text)
        if key in _NUMBERS:
            return float(text)
    except ValueError:
        return text
    return _TRUTHS.get(text.lower(), text) if key == "stream" else text


def _part(name: str, value: Any, *, is_file: bool) -> list[bytes]:
    told = f'Content-Disposition: form-data; name="{_escaped(name)}"'
    if not is_file:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return [told.encode(), b"\r\n\r\n", text.encode()]
    content = content_of(value)
    kind = images.sniff(content) or "gif"
    file = f'{told}; filename="{name.removesuffix("[]")}.{kind}"\r\nContent-Type: image/{kind}'
    return [file.encode(), b"\r\n\r\n", content]


def _escaped(name: str) -> str:
    """As browsers write names in forms (WHATWG HTML, "multipart/form-data encoding algorithm")."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
