"""Reading entry files: JSON Lines with one forget entry a line, checked in full before anything is sent.

Pictures named by path are read here, relative to the file, and become data URLs: a server never opens a path that a
client names. A line without an id gets one made of its content, so that a broken-off import can be run again. Knows no
treatments; those are checked by whoever registers. Messages name the line, never its text.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from guardrail.api.admin.accept import with_content_id
from guardrail.commands.options import BadInput
from retrieval.entry import ForgetEntry, parse_entry
from retrieval.errors import InvalidEntry

IMAGE_LIMIT_BYTES: Final = 16 * 1024 * 1024
SHOWN_PROBLEMS: Final = 20
_TYPES: Final = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".gif": "gif"}


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryLine:
    """One entry of a file, as it is sent."""

    number: int
    raw: bytes


def as_data_url(image: str, folder: Path) -> str:
    """A data URL stays; a path is read. Raises `InvalidEntry`."""
    if image.startswith("data:"):
        return image
    path = folder / image
    kind = _TYPES.get(path.suffix.lower())
    if kind is None:
        raise InvalidEntry("Field 'images': a picture must be a png, jpeg, webp or gif file, or a data URL.")
    try:
        if path.stat().st_size > IMAGE_LIMIT_BYTES:
            raise InvalidEntry(f"Field 'images': a picture is larger than {IMAGE_LIMIT_BYTES} bytes.")
        content = path.read_bytes()
    except OSError as error:
        raise InvalidEntry(f"Field 'images': a picture cannot be read: {error.strerror}.") from None
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def complete(body: Any, folder: Path) -> ForgetEntry:
    """The entry of a decoded line, with an id and with its pictures' content. Raises `InvalidEntry`."""
    entry = parse_entry(body)
    if entry.images:
        images = tuple(as_data_url(image, folder) for image in entry.images)
        entry = entry.model_copy(update={"images": images})
    return with_content_id(entry)


def _decoded(raw: bytes) -> Any:
    try:
        raw.decode("utf-8")
        return orjson.loads(raw)
    except UnicodeDecodeError as error:
        raise InvalidEntry(f"is not UTF-8 (byte {error.start}).") from None
    except orjson.JSONDecodeError as error:
        raise InvalidEntry(f"is not valid JSON: {error.msg} (column {error.colno}).") from None


def read_entries(path: Path) -> Iterator[EntryLine | InvalidEntry]:
    """Each line that is not blank: ready to send, or what is wrong with it (with its number in the message)."""
    with path.open("rb") as lines:
        for number, raw in enumerate(lines, start=1):
            if not raw.strip():
                continue
            try:
                entry = complete(_decoded(raw.strip()), path.parent)
            except InvalidEntry as error:
                yield InvalidEntry(f"line {number}: {error}", param=error.param)
                continue
            yield EntryLine(number=number, raw=orjson.dumps(entry.model_dump(mode="json", exclude_defaults=True)))


def check_file(path: Path) -> int:
    """The number of entries in the file. Raises `BadInput` that lists what is wrong with it."""
    problems: list[str] = []
    entries = 0
    try:
        for line in read_entries(path):
            if isinstance(line, InvalidEntry):
                problems.append(str(line))
            else:
                entries += 1
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
    if problems:
        more = len(problems) - SHOWN_PROBLEMS
        shown = problems[:SHOWN_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
        raise BadInput(f"{path}: nothing was sent; " + "; ".join(shown))
    return entries
