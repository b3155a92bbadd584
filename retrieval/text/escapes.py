"""Characters written as escapes: "%53", "&#83;", "\\u0053", "\\x53", "U+0053", "=53".

It does not know names. Twice escaped text is read twice. Offsets lead back to the escape.
"""

from __future__ import annotations

import html
import re

from retrieval.text.reading import Reading, Writer

_ESCAPE = re.compile(
    r"(?=[%&\\uU=])(?:(?P<percent>(?:%[0-9A-Fa-f]{2})+)"
    r"|&(?P<entity>#\d{1,7};?|#[xX][0-9A-Fa-f]{1,6};?|[A-Za-z]\w{1,30};)"
    r"|(?:\\u|%u)(?P<four>[0-9A-Fa-f]{4})"
    r"|(?:\\u\{(?P<braced>[0-9A-Fa-f]{1,6})\}|\\U(?P<eight>[0-9A-Fa-f]{8}))"
    r"|\b[uU]\+(?P<plus>[0-9A-Fa-f]{4,6})(?: (?=[uU]\+))?"
    r"|(?P<hex>(?:\\x[0-9A-Fa-f]{2})+)"
    r"|(?P<octal>(?:\\[0-3]?[0-7]{2})+)"
    r"|(?P<quoted>(?:=[0-9A-F]{2}){3,}))"
)
_MARKS = ("%", "&", "\\", "U+", "u+", "=")
_ROUNDS = 2


def read_escapes(text: str) -> Reading | None:
    """The text with its escapes read; None where there are none."""
    if not any(mark in text for mark in _MARKS):
        return None
    found = _read_once(text)
    if found is None:
        return None
    for _ in range(_ROUNDS - 1):
        again = _read_once(found.text)
        if again is None:
            break
        spans = [found.original(start, end) for start, end in zip(again.starts, again.ends, strict=True)]
        found = Reading(
            how="escaped",
            text=again.text,
            starts=[span.start for span in spans],
            ends=[span.end for span in spans],
        )
    return found


def _read_once(text: str) -> Reading | None:
    writer = Writer()
    done = 0
    for match in _ESCAPE.finditer(text):
        read = _read(match)
        if read is not None:
            writer.keep(text, done, match.start())
            writer.put(read, match.start(), match.end())
            done = match.end()
    if not done:
        return None
    writer.keep(text, done, len(text))
    return writer.reading("escaped")


def _read(match: re.Match[str]) -> str | None:
    kind, written = match.lastgroup, match.group()
    if kind == "entity":
        read = html.unescape(written if written.endswith(";") else written + ";")
        return None if read == written else read
    if kind in ("four", "braced", "eight", "plus"):
        code = int(match.group(kind), 16)
        return chr(code) if code < 0x110000 and not 0xD800 <= code <= 0xDFFF else None
    if kind == "octal":
        return bytes(int(digits, 8) & 0xFF for digits in written.split("\\")[1:]).decode("utf-8", "replace")
    mark = {"percent": "%", "hex": "\\x", "quoted": "="}[kind or "percent"]
    return bytes.fromhex(written.replace(mark, "")).decode("utf-8", "replace")
