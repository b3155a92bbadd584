"""Registered names written in another script: "Стивен Кинг", "斯蒂芬·金", "スティーヴン・キング" for Stephen King.

Every part of the name must have the text's consonants, part for part (see `sounds`), and the whole must be alike enough.
Names of few consonants must moreover be spelt alike in Latin letters. What it cannot tell apart: people whose names
differ in vowels only ("Stephanie King" may be met for "Stephen King" where a script writes few vowels). What it cannot
find: names of Chinese and Japanese people written in Han characters, which are said quite otherwise (aliases serve).
It does not know entries beyond their tags.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from math import prod

from rapidfuzz.distance import Indel

from retrieval.text.foreign_words import ForeignWord, Sound, foreign_words
from retrieval.text.phrases import PhraseTag
from retrieval.text.sounds import likeness, lookup_key, name_sounds

_MOST_KEYS = 24
_MOST_TRIED = 400  # ways to take the words of one window
_MOST_TRIED_IN_TEXT = 100_000
_LEAST_PART = 0.6
_LEAST_LIKENESS = 0.82
_FEW_SOUNDS = 4  # consonants of a name that tells little
_SPELLING = (0.55, 0.6)  # least likeness of the letters for a name of many consonants, and of few
_SPELLING_BY_SCRIPT = {
    "arabic": (0.45, 0.52),
    "hebrew": (0.45, 0.55),
    "han": (0.2, 0.45),
    "hangul": (0.35, 0.5),
    "katakana": (0.42, 0.5),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignName:
    """A name at a range of the text."""

    start: int
    end: int
    tags: tuple[PhraseTag, ...]
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignNamesFound:
    """`truncated`: the text holds more foreign words than are looked at."""

    names: tuple[ForeignName, ...]
    truncated: bool


class ForeignNames:
    """Not thread-safe: one thread owns it."""

    def __init__(self) -> None:
        self._tags: dict[tuple[str, ...], tuple[PhraseTag, ...]] = {}
        self._by_key: dict[str, tuple[tuple[str, ...], ...]] = {}
        self._longest = 1

    def add(self, words: tuple[str, ...], tag: PhraseTag) -> None:
        """Register a name by its words, lower case Latin; others are nothing."""
        words = _parts(words)
        tags = self._tags.get(words, ())
        if not words or tag in tags:
            return
        self._tags[words] = (*tags, tag)
        self._longest = max(self._longest, len(words))
        if not tags:
            for key in _keys(words):
                self._by_key[key] = (*self._by_key.get(key, ()), words)

    def remove(self, words: tuple[str, ...], tag: PhraseTag) -> None:
        """Remove a name; one that is not there is no error."""
        words = _parts(words)
        if tag not in self._tags.get(words, ()):
            return
        rest = tuple(other for other in self._tags[words] if other != tag)
        if rest:
            self._tags[words] = rest
            return
        del self._tags[words]
        for key in _keys(words):
            others = tuple(other for other in self._by_key[key] if other != words)
            if others:
                self._by_key[key] = others
            else:
                del self._by_key[key]

    def find(self, text: str) -> ForeignNamesFound:
        """The names in the foreign words of a text; at one place only those that fit best."""
        words = foreign_words(text)
        found: list[ForeignName] = []
        tries = _MOST_TRIED_IN_TEXT
        for first in range(len(words)):
            window: list[ForeignWord] = []
            for word in words[first : first + self._longest]:
                window.append(word)
                tries -= min(_MOST_TRIED, prod(len(word.ways) for word in window))
                found += self._in_window(window)
                if not word.ties_next:
                    break
            if tries < 0:
                break
        return ForeignNamesFound(names=tuple(_best(found)), truncated=tries < 0)

    def _in_window(self, window: Sequence[ForeignWord]) -> Iterator[ForeignName]:
        for ways in islice(product(*(word.ways for word in window)), _MOST_TRIED):
            key = " ".join(lookup_key(way.sounds) for way in ways)
            for words in self._by_key.get(key, ()):
                score = _score(words, ways)
                if score:
                    yield ForeignName(start=ways[0].start, end=ways[-1].end, tags=self._tags[words], score=score)


def _best(found: Sequence[ForeignName]) -> Iterator[ForeignName]:
    """Without those that overlap a better one."""
    taken: dict[int, float] = {}
    for name in sorted(found, key=lambda name: (-name.score, name.start - name.end)):
        places = range(name.start, name.end)
        if all(taken.get(place, 0.0) <= name.score for place in places):
            taken.update((place, name.score) for place in places if place not in taken)
            yield name


def _parts(words: tuple[str, ...]) -> tuple[str, ...]:
    """Without initials; nothing where the name is not in Latin letters."""
    if not all(word.isascii() and word.isalpha() for word in words):
        return ()
    kept = tuple(word for word in words if len(word) > 1)
    return kept if sum(map(len, kept)) > 3 else ()


def _keys(words: tuple[str, ...]) -> set[str]:
    keys: set[str] = set()
    for sounds in product(*(name_sounds(word) for word in words)):
        keys.add(" ".join(map(lookup_key, sounds)))
        if len(keys) >= _MOST_KEYS:
            break
    return keys


def _score(words: tuple[str, ...], ways: Sequence[Sound]) -> float:
    """How surely romanised words are a name's; 0 if they are too unlike."""
    weight, alike = 0, 0.0
    for word, way in zip(words, ways, strict=True):
        form, part = max(
            ((form, likeness(form, way.sounds, way.script)) for form in name_sounds(word)), key=lambda pair: pair[1]
        )
        if part < _LEAST_PART:
            return 0.0
        weight += len(form)
        alike += len(form) * part
    alike /= max(weight, 1)
    spelling = Indel.normalized_similarity(" ".join(words), " ".join(way.roman for way in ways))
    least = _least_spelling(ways[0].script, weight, is_single=len(words) == 1)
    return round(alike, 3) if alike >= _LEAST_LIKENESS and spelling >= least else 0.0


def _least_spelling(script: str, weight: int, *, is_single: bool) -> float:
    """How alike the letters, vowels too, must be: the less, the more consonants fit and the less the script tells."""
    if is_single:
        return 0.7 if weight >= _FEW_SOUNDS else 1.0
    many, few = _SPELLING_BY_SCRIPT.get(script, _SPELLING)
    return many if weight > _FEW_SOUNDS + 1 else few
