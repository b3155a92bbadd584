"""Reads a suite's own two files, JSON Lines, checked in full before anything is drawn.

`entries.jsonl`: entries as `expunge forget import` takes them; pictures may be named by files beside it. `prompts.jsonl`:
{"id", "prompt", "seed"?, "split", "entry"?, "expect"?, "absent"?}. Of a prompt that is about an entry, `absent` is what
must no longer show; without it that is the part of `expect` whose value is one of the entry's names, or all of an `expect`
of one attribute. Messages name line and field, never an entry's text.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from guardrail.errors import InvalidInput
from guardrail.evaluation.images.suites import (
    FORGET,
    MOST_PROMPT_CHARS,
    MOST_SEED,
    SPLITS,
    PictureEntry,
    Prompt,
    seed_of,
)
from retrieval.entry import parse_entry
from retrieval.errors import InvalidEntry

# When and where an entry acts is for the evaluation to say, not what is judged.
_LEFT_OUT: Final = frozenset({"id", "scope", "effective_at", "expires_at", "shadow"})
_TYPES: Final = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".gif": "gif"}
_FIELDS: Final = frozenset({"id", "prompt", "seed", "split", "entry", "expect", "absent"})


def read_entries(path: Path) -> tuple[PictureEntry, ...]:
    """The entries of a file, their pictures read. Raises `InvalidInput`."""
    found: dict[str, PictureEntry] = {}
    for number, line in lines(path):
        given = line.get("id", f"line-{number}")
        if not isinstance(given, str) or not given:
            raise wrong(path, number, "'id' must be a text that is not empty.")
        if given in found:
            raise wrong(path, number, f"the id '{given}' stands in an earlier line; ids must differ.")
        found[given] = _entry(path, number, given, line)
    if not found:
        raise InvalidInput(f"{path} holds no entry; write one JSON object a line, each with at least a name.")
    return tuple(found.values())


def read_prompts(path: Path, entries: Sequence[PictureEntry]) -> tuple[Prompt, ...]:
    """The prompts of a file. Raises `InvalidInput`."""
    known = {entry.id: entry for entry in entries}
    found: dict[str, Prompt] = {}
    for number, line in lines(path):
        prompt = _prompt(path, number, line, known)
        if prompt.id in found:
            raise wrong(path, number, f"the id '{prompt.id}' stands in an earlier line; ids must differ.")
        found[prompt.id] = prompt
    if not found:
        raise InvalidInput(f"{path} holds no prompt; write one JSON object a line, with 'id', 'prompt' and 'split'.")
    return tuple(found.values())


def lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The objects of a JSON Lines file with their line numbers."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from None
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            decoded = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise wrong(path, number, f"is not valid JSON: {error.msg} (column {error.colno}).") from None
        if not isinstance(decoded, dict):
            raise wrong(path, number, "must be a JSON object.")
        yield number, decoded


def wrong(path: Path, number: int, what: str) -> InvalidInput:
    """What is wrong with a line."""
    return InvalidInput(f"{path}, line {number}: {what}")


def _entry(path: Path, number: int, entry_id: str, line: Mapping[str, Any]) -> PictureEntry:
    try:
        entry = parse_entry({**line, "id": None})
    except InvalidEntry as error:
        raise wrong(path, number, str(error)) from None
    if "image" not in entry.modalities:
        raise wrong(path, number, "the entry does not cover pictures; add \"image\" to 'modalities' or leave it out.")
    body = entry.model_dump(mode="json", exclude_defaults=True, exclude=set(_LEFT_OUT))
    if entry.images:
        body["images"] = [_data_url(path, number, image) for image in entry.images]
    return PictureEntry(id=entry_id, names=entry.names, body=body)


def _data_url(path: Path, number: int, image: str) -> str:
    """What a picture that is named by its path would be as a data URL; the proxy says whether it is one."""
    if image.startswith("data:"):
        return image
    kind = _TYPES.get(Path(image).suffix.lower())
    if kind is None:
        raise wrong(path, number, "'images': a picture must be a png, jpeg, webp or gif file, or a data URL.")
    try:
        content = (path.parent / image).read_bytes()
    except OSError as error:
        raise wrong(path, number, f"'images': a picture cannot be read: {error.strerror}.") from None
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _prompt(path: Path, number: int, line: Mapping[str, Any], known: Mapping[str, PictureEntry]) -> Prompt:
    strange = sorted(line.keys() - _FIELDS)
    if strange:
        raise wrong(path, number, f"unknown field '{strange[0]}'; known: {', '.join(sorted(_FIELDS))}.")
    text, split = line.get("prompt"), line.get("split")
    if not isinstance(text, str) or not text.strip() or len(text) > MOST_PROMPT_CHARS:
        raise wrong(path, number, f"'prompt' must be a text of 1 to {MOST_PROMPT_CHARS} characters.")
    if split not in SPLITS:
        raise wrong(path, number, f"'split' must be one of {', '.join(SPLITS)}.")
    given = line.get("id", str(number))
    if not isinstance(given, str) or not given:
        raise wrong(path, number, "'id' must be a text that is not empty.")
    seed = line.get("seed")
    if seed is not None and (type(seed) is not int or not 0 <= seed <= MOST_SEED):
        raise wrong(path, number, f"'seed' must be a whole number from 0 to {MOST_SEED}.")
    expect, absent = _pairs(path, number, line, "expect"), _pairs(path, number, line, "absent")
    entry = _entry_of(path, number, line, known, is_needed=split in FORGET)
    if split in FORGET and entry is not None:
        absent = absent or _concept(path, number, expect, entry)
    elif absent:
        raise wrong(path, number, f"'absent' is for prompts about an entry ({', '.join(FORGET)}); leave it out here.")
    return Prompt(
        id=given,
        text=text,
        seed=seed_of(text) if seed is None else seed,
        split=split,
        entry=entry.id if entry else None,
        concept=absent,
        expect={name: value for name, value in expect.items() if name not in absent},
    )


def _entry_of(
    path: Path, number: int, line: Mapping[str, Any], known: Mapping[str, PictureEntry], *, is_needed: bool
) -> PictureEntry | None:
    name = line.get("entry")
    if name is None:
        if not is_needed:
            return None
        if len(known) == 1:
            return next(iter(known.values()))
        raise wrong(path, number, "'entry' must name the entry that the prompt is about.")
    if not isinstance(name, str) or name not in known:
        raise wrong(path, number, "'entry' is no id of the entries file.")
    return known[name]


def _concept(path: Path, number: int, expect: Mapping[str, str], entry: PictureEntry) -> dict[str, str]:
    names = {name.casefold() for name in entry.names}
    found = {attribute: value for attribute, value in expect.items() if value.casefold() in names}
    if not found and len(expect) == 1:
        found = dict(expect)
    if expect and not found:
        raise wrong(path, number, "no value of 'expect' is the entry's name; say by 'absent' what must no longer show.")
    return found


def _pairs(path: Path, number: int, line: Mapping[str, Any], field: str) -> dict[str, str]:
    value = line.get(field, {})
    if not isinstance(value, dict) or not all(isinstance(one, str) and one for one in value.values()):
        raise wrong(path, number, f"'{field}' must be an object of attributes and their values, both texts.")
    return value
