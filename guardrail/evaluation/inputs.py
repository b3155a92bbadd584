"""Reads what a detection evaluation is given: entries and probes, as JSON Lines, checked in full before anything runs.

Lines end with "\\n" and nothing else: texts may hold other line separators. It knows the files' form, not the detectors.
Messages name the line and the field, never an entry's text. Ids are the caller's own and may be any text: the registry
gets ids of ours. Scope, times, shadow and pictures of an entry are left out, as they say when it acts, not what it finds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from guardrail.errors import InvalidInput
from retrieval.entry import ForgetEntry, Scope, parse_entry
from retrieval.errors import InvalidEntry

CHAT: Final = "/v1/chat/completions"
COMPLETIONS: Final = "/v1/completions"
UNNAMED_GROUP: Final = "all"
_EVERYWHERE: Final[Mapping[str, Any]] = {
    "scope": Scope(),
    "effective_at": None,
    "expires_at": None,
    "shadow": False,
    "images": (),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownEntry:
    """An entry under its id in the file, and as it is registered under an id of ours."""

    id: str
    entry: ForgetEntry


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """One request, what it must lead to, and perhaps the answer that a model would give.

    `number` is its line; `endpoint` and `body` are what a client would send; `expect` holds ids of the entries file.
    """

    number: int
    id: str
    endpoint: str
    body: Mapping[str, Any]
    answer: str
    expect: tuple[str, ...]
    group: str


def read_entries(path: Path) -> list[KnownEntry]:
    """The entries of a file. Raises `InvalidInput`."""
    found: dict[str, KnownEntry] = {}
    for number, line in _lines(path):
        try:
            entry = parse_entry({**line, "id": None})
        except InvalidEntry as error:
            raise _wrong(path, number, str(error)) from None
        given = line.get("id", f"line-{number}")
        if not isinstance(given, str) or not given:
            raise _wrong(path, number, "'id' must be a text that is not empty.")
        if given in found:
            raise _wrong(path, number, f"the id '{given}' stands in an earlier line; ids must differ.")
        found[given] = KnownEntry(id=given, entry=entry.model_copy(update={**_EVERYWHERE, "id": f"entry-{number}"}))
    if not found:
        raise InvalidInput(f"{path} holds no entry; write one JSON object a line, each with at least a name.")
    return list(found.values())


def read_probes(path: Path, entries: Sequence[KnownEntry]) -> list[Probe]:
    """The probes of a file; they may expect these entries. Raises `InvalidInput`."""
    known = {entry.id for entry in entries}
    probes = [_probe(path, number, line, known) for number, line in _lines(path)]
    if not probes:
        raise InvalidInput(f"{path} holds no probe; write one JSON object a line, with 'prompt' or 'messages'.")
    return probes


def _probe(path: Path, number: int, line: Mapping[str, Any], known: set[str]) -> Probe:
    expect = line.get("expect")
    if not isinstance(expect, list) or not all(isinstance(item, str) for item in expect):
        raise _wrong(path, number, "'expect' must be a list of entry ids; write [] where nothing is to be caught.")
    for item in expect:
        if item not in known:
            raise _wrong(path, number, f"'expect' names '{item}', which is no id of the entries file.")
    for field in ("answer", "group", "id"):
        if not isinstance(line.get(field, ""), str):
            raise _wrong(path, number, f"'{field}' must be a text.")
    endpoint, body = _request(path, number, line)
    return Probe(
        number=number,
        id=line.get("id", str(number)),
        endpoint=endpoint,
        body=body,
        answer=line.get("answer", ""),
        expect=tuple(expect),
        group=line.get("group") or UNNAMED_GROUP,
    )


def _request(path: Path, number: int, line: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The endpoint and the body that a client would send."""
    prompt, messages = line.get("prompt"), line.get("messages")
    if (prompt is None) == (messages is None):
        raise _wrong(path, number, "a probe has either 'prompt' or 'messages'.")
    if prompt is not None:
        if not isinstance(prompt, str):
            raise _wrong(path, number, "'prompt' must be a text.")
        return COMPLETIONS, {"prompt": prompt}
    fits = isinstance(messages, list) and all(
        isinstance(one, dict) and isinstance(one.get("role"), str) for one in messages
    )
    if not fits or not messages:
        raise _wrong(path, number, "'messages' must be a list of objects with 'role' and 'content'.")
    return CHAT, {"messages": messages}


def _lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
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
            raise _wrong(path, number, f"is not valid JSON: {error.msg} (column {error.colno}).") from None
        if not isinstance(decoded, dict):
            raise _wrong(path, number, "must be a JSON object.")
        yield number, decoded


def _wrong(path: Path, number: int, what: str) -> InvalidInput:
    return InvalidInput(f"{path}, line {number}: {what}")
