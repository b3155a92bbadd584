"""Reading and replacing one value deep in decoded JSON, without changing the original.

Knows nothing of what the values mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from guardrail.decision import JsonPath


def replace_at(body: Any, path: JsonPath, value: Any) -> Any:
    """A copy of `body` with `value` at `path`; everything off the path is shared with the original."""
    if not path:
        return value
    head, rest = path[0], path[1:]
    copy: Any = list(body) if isinstance(body, list) else dict(body)
    copy[head] = replace_at(body[head], rest, value)
    return copy


def get_at(body: Any, path: JsonPath) -> Any:
    """The value at `path`; raises KeyError, IndexError or TypeError where there is none."""
    for part in path:
        body = body[part]
    return body


def texts_in(value: Any, path: JsonPath, *, skip: frozenset[str]) -> Iterator[tuple[JsonPath, str]]:
    """Every non-empty string below `value` with its path, but those under a key in `skip`."""
    if isinstance(value, str):
        if value:
            yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key not in skip and item:
                yield from texts_in(item, (*path, key), skip=skip)
    elif isinstance(value, Sequence):
        for index, item in enumerate(value):
            if item:
                yield from texts_in(item, (*path, index), skip=skip)
