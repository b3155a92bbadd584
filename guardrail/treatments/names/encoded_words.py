"""A stand-in as a model writes it where it is asked to encode a name: backwards, in rot13, in hexadecimal, in base64.

    Chastity Leeper   ->   ytitsahC, repeeL; Punfgvgl Yrrcre; 4368617374697479; Q2hhc3RpdHkgTGVlcGVy

A caller who can undo such a code would read the invented name. Told are codes of a whole name and of each of its words. A
longer text that is encoded in one piece is not told, nor are other codes (Caesar shifts but by 13, Morse, binary digits,
numbers of letters, leet): undoing those would mean to hold back long runs of an answer. It knows no swaps and no texts.
"""

from __future__ import annotations

import base64
import codecs
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from retrieval.text.known_words import known_words

_FEWEST_LETTERS = 4
_MOST_CHARS = 60  # what may still become a code is held back in a stream


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """`invented` is the code of what stands for that of which `written` is the code. `is_padded`: base64, which a row of
    "=" may follow that belongs to it; neither text holds it."""

    invented: str
    written: str
    is_padded: bool = False


def codes_of(invented: str, written: str) -> Iterator[Code]:
    """The codes of a name or of a word of it; none of a short one, and none that is a word."""
    if len(invented) < _FEWEST_LETTERS:
        return
    for encode in _ENCODINGS:
        made, own = encode(invented), encode(written)
        is_known = made is not None and made.casefold() in known_words().words
        if made and own and made != invented and not is_known and len(made) <= _MOST_CHARS:
            yield Code(invented=made.rstrip("="), written=own.rstrip("="), is_padded=encode is _in_base64)


def padded(written: str) -> str:
    """Base64 with the signs that fill it up."""
    return written + "=" * (-len(written) % 4)


def _backwards(text: str) -> str | None:
    """None where marks would come to stand before their letters."""
    return None if any(unicodedata.combining(sign) for sign in unicodedata.normalize("NFC", text)) else text[::-1]


def _in_rot13(text: str) -> str | None:
    return codecs.encode(text, "rot13")


def _in_hexadecimal(text: str) -> str | None:
    return text.encode("utf-8", "surrogatepass").hex()


def _in_spaced_hexadecimal(text: str) -> str | None:
    return text.encode("utf-8", "surrogatepass").hex(" ")


def _in_base64(text: str) -> str | None:
    return base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()


_ENCODINGS: tuple[Callable[[str], str | None], ...] = (
    _backwards,
    _in_rot13,
    _in_hexadecimal,
    _in_spaced_hexadecimal,
    _in_base64,
)
