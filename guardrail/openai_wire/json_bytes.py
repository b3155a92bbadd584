"""Replacing one string in JSON bytes and leaving every other byte as it came.

Decoding and encoding again would re-type a body: numbers, escapes and repeated keys would leave other than they came.
Works on bytes that are known to be valid JSON; knows nothing of what the values mean.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import orjson

KeyPath = tuple[str, ...]
"""Keys from the outermost object down to a string: ("response", "model")."""

_TOKEN = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|[{}\[\]]', re.DOTALL)


def replace_string(raw: bytes, paths: Collection[KeyPath], value: str) -> bytes:
    """`raw` with every string at one of `paths` replaced by `value`."""
    new = orjson.dumps(value)
    out: list[bytes] = []
    last = 0
    keys: list[str | None] = []  # per open object or array: the key whose value is being read (arrays: None)
    for token in _TOKEN.finditer(raw):
        text, colon = token.groups()
        if text is None:
            if token.group() in b"{[":
                keys.append(None)
            elif keys:
                keys.pop()
        elif colon is not None and keys:
            keys[-1] = orjson.loads(text)
        elif tuple(keys) in paths:
            out += (raw[last : token.start()], new)
            last = token.end()
    return b"".join([*out, raw[last:]]) if out else raw
