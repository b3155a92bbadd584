"""Spans that are encoded text: base64, base32, hex, binary, character codes, alphabet places, Morse.

A span counts only if it decodes to text: valid UTF-8, printable, mostly letters. It does not know names. Patterns are
linear; each span is decoded once.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator

from retrieval.text.reading import DecodedSpan

_FEWEST_CHARS = 3
_LETTER_SHARE = 0.6
_SPAN_LIMIT_CHARS = 200_000

# The look ahead passes over plain words at once: something other than small letters must follow.
_BASE64 = re.compile(
    r"(?<![A-Za-z0-9+/_=-])(?=[A-Za-z]?[a-z]*[A-Z0-9+/=])(?:[A-Za-z0-9+/]{40,}\r?\n)*[A-Za-z0-9+/_-]{6,}={0,2}"
)
_BASE32 = re.compile(r"(?<![A-Za-z0-9])(?:[A-Z2-7]{8}){1,}(?:[A-Z2-7]{2,7}={0,6})?(?![A-Za-z0-9])")
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:0x)?(?:[0-9A-Fa-f]{2}){4,}(?![0-9A-Za-z])")
_PAIR = "(?:0x)?[0-9A-Fa-f]{2}"
_HEX_APART = re.compile(rf"(?<![0-9A-Za-z]){_PAIR}([\s:,;-]{{1,2}}){_PAIR}(?:\1{_PAIR}){{2,}}(?![0-9A-Za-z])")
_BINARY = re.compile(r"(?<!\d)(?:0b)?[01]{7,8}(?:[\s,]{0,2}(?:0b)?[01]{7,8}){3,}(?!\d)")
_CODES = re.compile(r"(?<![\d.])\d{1,3}([\s,;/|+-]{1,3})\d{1,3}(?:\1\d{1,3}){2,}(?!\d)")
_PLACES = re.compile(r"(?<![\d.])\d{1,2}(?:[\s,;/|+-]{1,3}\d{1,2}){3,}(?!\d)")
_MORSE = re.compile(r"(?<!\S)[.·•∙\-–—−_]{1,6}(?:(?:\s*[/|]\s*|\s{1,7})[.·•∙\-–—−_]{1,6}){3,}(?!\S)")

# Cheap looks that spare plain text the patterns.
_CODED_WORD = re.compile(
    r"[A-Z0-9=](?:(?<=[a-z][A-Z])|(?<=[A-Za-z][0-9])|(?<=[0-9])(?=[A-Za-z+/])|(?<=[A-Za-z0-9]=)|(?<=[A-Z])(?=[A-Z]{7}))"
)
_HEX_DIGITS = re.compile(r"[2-7][0-9A-Fa-f][2-7][0-9A-Fa-f][2-7][0-9A-Fa-f]")
_HEX_PAIRS = re.compile(r"[2-7][0-9A-Fa-f][\s:,;-]{1,2}(?:0x)?[2-7][0-9A-Fa-f][\s:,;-]")
_ZEROS_AND_ONES = re.compile(r"[01]{7}")
_NUMBERS = re.compile(r"\d[\s,;/|+-]{1,3}\d")
_MORSE_MARKS = re.compile(r"[.·•∙\-–—−_][ /|]+[.·•∙\-–—−_]")

_DOTS_AND_DASHES = (
    ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.. "
    "----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----."
)
_MORSE_LETTERS = dict(zip(_DOTS_AND_DASHES.split(), "abcdefghijklmnopqrstuvwxyz0123456789", strict=True))


def decode_spans(text: str) -> Iterator[DecodedSpan]:
    """Every span that is encoded text, with what it says."""
    for how, hint, pattern, decode in _CODINGS:
        if not hint.search(text):
            continue
        for match in pattern.finditer(text):
            written = match.group()
            if len(written) > _SPAN_LIMIT_CHARS:
                continue
            said = decode(written)
            if said is not None and said != written:
                yield DecodedSpan(how=how, start=match.start(), end=match.end(), text=said)


def _as_text(data: bytes) -> str | None:
    """Bytes as text if they are text that people write."""
    is_wide = len(data) >= 6 and data[1::2].count(0) > len(data) // 3  # UTF-16 of mostly Latin letters
    try:
        said = data[: len(data) // 2 * 2].decode("utf-16-le") if is_wide else data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return said if _is_text(said) else None


def _is_text(said: str) -> bool:
    if len(said) < _FEWEST_CHARS or not all(char.isprintable() or char in "\n\r\t" for char in said):
        return False
    return sum(char.isalpha() or char == " " for char in said) >= _LETTER_SHARE * len(said)


def _from_base64(written: str) -> str | None:
    core = written.rstrip("=")
    if core == written and core.isalpha() and (core.islower() or core.isupper() or core.istitle()):
        return None  # a word
    plain = "".join(core.split()).replace("-", "+").replace("_", "/")
    if len(plain) % 4 == 1:
        plain = plain[:-1]
    try:
        return _as_text(base64.b64decode(plain + "=" * (-len(plain) % 4)))
    except (binascii.Error, ValueError):
        return None


def _from_base32(written: str) -> str | None:
    core = written.rstrip("=")
    try:
        return _as_text(base64.b32decode(core + "=" * (-len(core) % 8)))
    except (binascii.Error, ValueError):
        return None


def _from_hex(written: str) -> str | None:
    digits = re.sub(r"0x|[\s:,;-]", "", written)
    return _as_text(bytes.fromhex(digits)) if len(digits) % 2 == 0 else None


def _from_binary(written: str) -> str | None:
    groups = re.findall(r"[01]+", written.replace("0b", " "))
    digits = "".join(groups)
    width = 7 if all(len(group) == 7 for group in groups) or len(digits) % 8 else 8
    if len(digits) % width:
        return None
    return _as_text(bytes(int(digits[place : place + width], 2) for place in range(0, len(digits), width)))


def _from_codes(written: str) -> str | None:
    """Decimal or octal character codes."""
    numbers = re.findall(r"\d+", written)
    codes = [int(number) for number in numbers]
    if all(32 <= code < 256 for code in codes):
        said = "".join(map(chr, codes))
        if _is_text(said):
            return said
    if all(re.fullmatch(r"[0-7]{2,3}", number) for number in numbers):
        return _as_text(bytes(int(number, 8) & 0xFF for number in numbers))
    return None


def _from_places(written: str) -> str | None:
    """Places in the alphabet; the rarer mark parts words."""
    codes = [int(number) for number in re.findall(r"\d+", written)]
    if not all(1 <= code <= 26 for code in codes):
        return None
    gaps = re.findall(r"\D+", written)
    usual = max(set(gaps), key=gaps.count)
    pairs = zip(["", *gaps], codes, strict=True)
    return "".join((" " if gap not in ("", usual) else "") + chr(ord("a") + code - 1) for gap, code in pairs)


def _from_morse(written: str) -> str | None:
    plain = re.sub(r"[·•∙]", ".", re.sub(r"[–—−_]", "-", written))
    words = re.split(r"\s*[/|]\s*|\s{3,}", plain.strip())
    letters = [[_MORSE_LETTERS.get(code, "") for code in word.split()] for word in words]
    if not all(all(word) for word in letters):
        return None
    said = " ".join("".join(word) for word in letters)
    return said if _is_text(said) else None


_CODINGS: tuple[tuple[str, re.Pattern[str], re.Pattern[str], Callable[[str], str | None]], ...] = (
    ("base64", _CODED_WORD, _BASE64, _from_base64),
    ("base32", _CODED_WORD, _BASE32, _from_base32),
    ("hex", _HEX_DIGITS, _HEX, _from_hex),
    ("hex", _HEX_PAIRS, _HEX_APART, _from_hex),
    ("binary", _ZEROS_AND_ONES, _BINARY, _from_binary),
    ("codes", _NUMBERS, _CODES, _from_codes),
    ("codes", _NUMBERS, _PLACES, _from_places),
    ("morse", _MORSE_MARKS, _MORSE, _from_morse),
)
