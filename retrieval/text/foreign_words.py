"""The words of a text that stand in another script than Latin, in Latin letters, and which of them may be one name.

Romanised by `anyascii`. Scripts with spaces give words, with and without the endings and prefixes that grammar adds to
names; katakana gives runs; Han gives the parts around a middle dot, whose outer ends are unknown. It knows no names.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from anyascii import anyascii

from retrieval.text.sounds import text_sounds

_FOREIGN = re.compile("[\u0370-\u1cff\u2d00-\u2d2f\u3040-\u318f\u31f0-\u31ff\u3400-\u9fff\ua000-\ua4cf\uac00-\ud7af]")
_ASCII = re.compile("[A-Za-z0-9]")  # a Latin word with foreign letters is a disguise, not a foreign word
_TOKEN = re.compile(r"""[^\s,.;:!?()\[\]{}"“”«»„…—–/|，。！？、；：（）「」『』【】《》<>*_~`।؟،؛·•・‧∙=＝゠-]+""")
_KATAKANA = re.compile("[\u30a1-\u30fa\u30fc\u31f0-\u31ff]+")
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]+")
_TIES = frozenset(" ·•・‧∙=＝゠-\u00a0")
_DOTS = frozenset("·•・‧∙")
_LONGEST_PART = 7  # Han characters of one part of a name
_WORD_LIMIT_CHARS = 40

_ENDINGS = {
    "cyrillic": re.compile(r"(?:ami|yami|om|em|ym|im|oy|ey|ov|ev|am|yam|akh|yakh|ogo|omu|u|a|e|y|i|ya|yu)$"),
    "greek": re.compile(r"(?:os|as|is|es|oy|on|s)$"),
    "hangul": re.compile(
        r"(?:Eun|Neun|I|Ga|Eul|Leul|Ui|E|EGe|ESeo|EGeSeo|Wa|Gwa|Do|Lo|EuLo|Man|ILaNeun|LaNeun|ILan|Lan|Ya|I?Da|"
        r"I?Eo|I?Ass|Ssi|Nim)$"
    ),
    "georgian": re.compile(r"(?:is|ma|s|m|it|ad|ze|i)$"),
    "armenian": re.compile(r"(?:i|y|n|in|ov|ic'|its)$"),
}
_PREFIXES = {
    "arabic": re.compile(r"^(?:wal|bal|kal|al|ll|w|f|b|l|k)(?=..)"),
    "hebrew": re.compile(r"^(?:sh|vh|[hvblmk])(?=..)"),
}


@dataclass(frozen=True, slots=True)
class Sound:
    """One way to take a word: its romanised letters and its consonants."""

    roman: str
    sounds: str
    script: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ForeignWord:
    """A word in place. `ties_next`: only a space, a hyphen or a dot parts it from the next one."""

    ways: tuple[Sound, ...]
    ties_next: bool


def has_foreign(text: str) -> bool:
    """True if some letter belongs to a script that is romanised here."""
    return not text.isascii() and _FOREIGN.search(text) is not None


def foreign_words(text: str) -> list[ForeignWord]:
    """In order; words in Latin letters part the others."""
    spans = [
        span
        for token in _TOKEN.finditer(text)
        if _FOREIGN.search(token.group()) and not _ASCII.search(token.group()) and len(token.group()) > 1
        for span in _spans(text, token.start(), token.end())
    ]
    words: list[ForeignWord] = []
    for place, (start, end, script) in enumerate(spans):
        following = spans[place + 1] if place + 1 < len(spans) else None
        gap = text[end : following[0]] if following is not None else "x"
        ties = 0 < len(gap) <= 3 and all(char in _TIES for char in gap)
        if script == "han":
            before = place > 0 and _is_dot(text[spans[place - 1][1] : start])
            after = ties and _is_dot(gap)
            ways = tuple(_han_ways(text, start, end, before=before, after=after))
        else:
            ways = tuple(Sound(roman, sounds, script, start, end) for roman, sounds in _ways(text[start:end], script))
        if ways:
            words.append(ForeignWord(ways, ties))
    return words


def _is_dot(gap: str) -> bool:
    return 0 < len(gap) <= 3 and any(char in _DOTS for char in gap)


def _spans(text: str, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    token = text[start:end]
    if _KATAKANA.search(token):
        for match in _KATAKANA.finditer(token):
            yield start + match.start(), start + match.end(), "katakana"
    elif _HAN.search(token):
        for match in _HAN.finditer(token):
            yield start + match.start(), start + match.end(), "han"
    else:
        yield start, end, _script(next(char for char in token if _FOREIGN.match(char)))


@lru_cache(maxsize=4096)
def _script(char: str) -> str:
    return unicodedata.name(char, "?").split()[0].lower()


@lru_cache(maxsize=8192)
def _ways(word: str, script: str) -> tuple[tuple[str, str], ...]:
    """(romanised, sounds) of a word and of the word without its ending or prefix."""
    if len(word) > _WORD_LIMIT_CHARS:
        return ()
    roman = anyascii(word)
    if script == "hangul":
        roman = re.sub(r"s(?=[A-Z]|$)", "t", roman)  # a final s is said t
    romans = [roman]
    for pattern in (_ENDINGS.get(script), _PREFIXES.get(script)):
        if pattern is not None:
            romans += [shorter for shorter in (pattern.sub("", roman, count=1),) if 1 < len(shorter) < len(roman)]
    plain = dict.fromkeys(re.sub("[^a-z]", "", form.lower()) for form in romans)
    return tuple((form, sounds) for form in plain for sounds in text_sounds(form, script))


def _han_ways(text: str, start: int, end: int, *, before: bool, after: bool) -> Iterator[Sound]:
    """The beginnings of a run that follows a dot, the ends of one that a dot follows, the whole between dots."""
    if before and after:
        cuts = [(start, end)] if end - start <= _LONGEST_PART else []
    elif before:
        cuts = [(start, cut) for cut in range(start + 1, min(end, start + _LONGEST_PART) + 1)]
    elif after:
        cuts = [(cut, end) for cut in range(max(start, end - _LONGEST_PART), end)]
    else:
        return
    for first, last in cuts:
        for roman, sounds in _ways(text[first:last], "han"):
            yield Sound(roman, sounds, "han", first, last)
