"""The other ways to read a text: which of them a text gives reason for, and what it then says.

    escapes, leet, CamelCase, letters apart, pieces, upside down, encoded spans, ciphers

Cheap looks come first, so plain text costs a few regular expressions. A reading of running text is also worth comparing
by meaning (`decoded_texts`). It knows names only through `NameWords`, and entries not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from retrieval.text.ciphers import (
    read_atbash,
    read_ciphered,
    read_pig_latin,
    read_reversed,
    read_shifted,
    read_turned,
)
from retrieval.text.encoded_spans import decode_spans
from retrieval.text.escapes import read_escapes
from retrieval.text.fragments import read_camel, read_pieces, read_spelled
from retrieval.text.known_words import known_words
from retrieval.text.leet import read_leet
from retrieval.text.name_words import NameWords
from retrieval.text.reading import DecodedSpan, Reading, in_span
from retrieval.text.views import TextView, normalise

READINGS_CAP_CHARS = 200_000
"""Text beyond it is read as it stands only."""

_MOST_DECODED = 12
_CHANGED_WORDS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Readings:
    """`truncated`: the text is longer than the cap, and its rest was not looked at."""

    readings: tuple[Reading, ...]
    truncated: bool = False


def unknown_places(view: TextView) -> list[int]:
    """The places of the words that are no known words."""
    known = known_words().words
    return [place for place, word in enumerate(view.words) if word not in known]


def readings_of(text: str, names: NameWords, *, cap_chars: int = READINGS_CAP_CHARS) -> Readings:
    """Every other reading that the text gives reason for."""
    truncated = len(text) > cap_chars
    text = text[:cap_chars] if truncated else text
    view = normalise(text)
    found = tuple(_readings(text, view, unknown_places(view), names))
    return Readings(readings=found, truncated=truncated)


def _readings(text: str, view: TextView, unknown: Sequence[int], names: NameWords) -> Iterator[Reading]:
    readings = [read_escapes(text), read_leet(text, names.from_leet), read_camel(text), read_spelled(text, view)]
    yield from (reading for reading in readings if reading is not None)
    if not text.isascii():
        yield from read_turned(text)
    yield from read_pieces(text)
    yield from (in_span(span.how, span.text, span.start, span.end) for span in decode_spans(text))
    if unknown:
        yield from _ciphered(text, view, unknown, names)


def _ciphered(text: str, view: TextView, unknown: Sequence[int], names: NameWords) -> Iterator[Reading]:
    known = known_words().words
    yield from read_ciphered(text)
    yield from read_shifted(text, view, unknown, names.shifts)
    yield from read_reversed(text, view, unknown, names.__contains__)
    yield from read_atbash(text, view, unknown, names.__contains__)
    pig_latin = read_pig_latin(view, unknown, names.__contains__, known.__contains__)
    if pig_latin is not None:
        yield pig_latin


def decoded_texts(text: str, *, cap_chars: int = READINGS_CAP_CHARS) -> list[DecodedSpan]:
    """What the text, or a part of it, says once it is decoded; empty for plain text. For comparison by meaning."""
    found: dict[str, DecodedSpan] = {}
    for reading in readings_of(text, NameWords(), cap_chars=cap_chars).readings:
        said = reading.text.strip()
        if not reading.is_whole or not said or said == text or said in found:
            continue
        if _is_other(said, text):
            span = reading.original(0, len(reading.text))
            found[said] = DecodedSpan(how=reading.how, start=span.start, end=span.end, text=said)
        if len(found) >= _MOST_DECODED:
            break
    return list(found.values())


def _is_other(said: str, text: str) -> bool:
    """Does it hold words that the text as written does not? One ("3rd" as "erd") is no reason to read it again."""
    new = set(normalise(said).words) - set(normalise(text).words)
    return len(new) >= min(_CHANGED_WORDS, max(1, len(normalise(said).words) - 1))
