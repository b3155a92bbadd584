"""Digits, signs and foreign letters read as the Latin letters that they are drawn for: "5t3ph3n", "$+3v3", "Стерhеп".

Most signs stand for one letter; for those that stand for two ("1": l or i; "9": g or q) the registered words decide.
Works only where a word mixes letters with such signs. It does not know names but through `resolve`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from retrieval.text.characters import Kind, fold_char
from retrieval.text.reading import Reading, Writer, word_bounds

Resolve = Callable[[str], tuple[str, ...]]
"""A word with its doubtful letters -> the registered words that it may stand for, as long as itself."""

_SIGNS = {
    **dict(zip("0123456789", "oizeasgtbg", strict=True)),
    **dict(zip("@$!|+€£¢¥§ß", "asiitelcyss", strict=True)),
    # Letters that are taken for others by shape alone; `characters` leaves them as they are, for they mean another sound.
    **dict(zip("яидцжшщфгзьбйлчэ", "rnauxwworebbnlye", strict=True)),
    **dict(zip("σλδπωξψθςηΣΛΔΠΩΞΨΘ", "oaanwexosneaanoxyo", strict=True)),
}
_DRAWN = {
    "|\\/|": "m",
    "/\\/\\": "m",
    "\\/\\/": "w",
    "|\\|": "n",
    "/\\/": "n",
    "|-|": "h",
    "}{": "h",
    "]-[": "h",
    "|_|": "u",
    "|<": "k",
    "|{": "k",
    "|)": "d",
    "|>": "p",
    "|2": "r",
    "|=": "f",
    "\\/": "v",
    "/\\": "a",
    "()": "o",
    "[]": "o",
    "><": "x",
    "|3": "b",
}
_UNIT = re.compile("|".join(re.escape(drawn) for drawn in sorted(_DRAWN, key=len, reverse=True)) + "|.", re.DOTALL)
_FOREIGN = "а-яσλδπωξψθςηΣΛΔΠΩΞΨΘ"
# One class of characters in front keeps the search fast in plain text.
_MIXED = re.compile(
    rf"[0-9@$|€£¢¥§!+/\\{_FOREIGN}](?:(?<=[0-9@$|€£¢¥§{_FOREIGN}])(?:(?=[A-Za-z])|(?<=[A-Za-z].))"
    r"|(?<=[A-Za-z0-9][!+])(?=[A-Za-z0-9])|(?<=!)(?<![\w!].)(?=[A-Za-z])|(?<=\d[@$])(?=\d)"
    r"|(?<=\|)(?=[-_\\)<>])|(?<=/)(?=\\)|(?<=\\)(?=/))"
)
_NUMBER = re.compile(
    r"\W*\d+(?:[.,:]\d+)*-?(?:st|nd|rd|th|s|am|pm|[kmgt]?[bgmhwvn]z?|[cm]?m|ft|in|year|x|d|k|%)\W*", re.IGNORECASE
)
_WORD = re.compile(r"[^\W_]+")
_AROUND_CHARS = 32
_LONGEST_TOKEN_CHARS = 80


def read_leet(text: str, resolve: Resolve) -> Reading | None:
    """The mixed words and what stands around them, with every sign as a letter; None where no word is mixed."""
    if not _MIXED.search(text):
        return None
    writer = Writer()
    for start, end in _windows(text):
        _write(writer, text, start, end, resolve)
        writer.put("\n\n", end, end)
    reading = writer.reading("leet")
    return reading if reading.text else None


def _windows(text: str) -> list[tuple[int, int]]:
    """Where mixed words stand, each with what stands close before and after."""
    windows: list[tuple[int, int]] = []
    for match in _MIXED.finditer(text):
        if windows and match.start() < windows[-1][1] - _AROUND_CHARS:
            continue  # the same word again
        first, last = word_bounds(text, match.start())
        if last - first <= _LONGEST_TOKEN_CHARS and not _NUMBER.fullmatch(text, first, last):
            start = word_bounds(text, max(0, first - _AROUND_CHARS))[0]
            end = word_bounds(text, min(len(text) - 1, last + _AROUND_CHARS))[1]
            if windows and start <= windows[-1][1]:
                windows[-1] = windows[-1][0], max(end, windows[-1][1])
            else:
                windows.append((start, end))
    return windows


def _write(writer: Writer, text: str, start: int, end: int, resolve: Resolve) -> None:
    plain: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for match in _UNIT.finditer(text, start, end):
        letters = _letters(match.group())
        plain.append(letters)
        starts += [match.start()] * len(letters)
        ends += [match.end()] * len(letters)
    resolved = _WORD.sub(lambda found: _resolved(found.group(), resolve), "".join(plain))
    for char, first, last in zip(resolved, starts, ends, strict=True):
        writer.put(char, first, last)


def _letters(unit: str) -> str:
    if unit in _DRAWN:
        return _DRAWN[unit]
    low = unit.lower()
    if low in _SIGNS or unit in _SIGNS:
        return _SIGNS.get(unit) or _SIGNS[low]
    if low.isascii():
        return low
    pieces = fold_char(unit)
    folded = "".join(piece for _, piece in pieces)
    return folded or (" " if any(kind is Kind.GAP for kind, _ in pieces) else "")


def _resolved(word: str, resolve: Resolve) -> str:
    """The first registered word that fits, with what follows a possessive; the word itself where none does."""
    for stem, rest in ((word, ""), (word[:-1], word[-1:])):
        fitting = [found for found in resolve(stem) if len(found) == len(stem)]
        if fitting:
            return (stem if stem in fitting else fitting[0]) + rest
    return word
