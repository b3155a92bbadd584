"""Names that are written nearly right: every part of the name one or two slips away at most, in its place.

A name is looked up by any two of its words in a row, plain or nearly right; its other words must then fit too.
What keeps other people apart: at least one part must be no known word and no known name at all ("Stephen Kong" is
somebody else, "Stephen Kihg" is not), ordinary little words are never slips, and many slips leave the first letters alone.
A name of one word must moreover be long.

It does not know entries beyond their tags, and reads words that were normalised before. Scores: 1 less the share of
slips in the name's letters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

from retrieval.text.known_words import known_words
from retrieval.text.name_words import NameWords, begins_alike, slips_between
from retrieval.text.phrases import PhraseTag
from retrieval.text.views import TextView

_SINGLE_FROM_CHARS = 5
_SINGLE_TWO_FROM_CHARS = 10
_LEAST_SCORE = 0.63
_MOST_SLIPS_ANYHOW = 2  # with more, and more than words, every part must begin like the name's and few be known words
_GAP_LIMIT_CHARS = 8
_SENTENCE_MARKS = frozenset("?!;:")
_SHORT_CHARS = 6  # a name of fewer letters must be written as one word ("Jay-Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class NearName:
    """A name nearly written at words `first` to `last` (inclusive) of a view."""

    first: int
    last: int
    tags: tuple[PhraseTag, ...]
    score: float


class NearNames:
    """Not thread-safe: one thread owns it."""

    def __init__(self) -> None:
        self.words = NameWords()
        self._tags: dict[tuple[str, ...], tuple[PhraseTag, ...]] = {}
        self._places: dict[tuple[str, ...], tuple[tuple[str, ...], ...]] = {}

    def add(self, words: tuple[str, ...], tag: PhraseTag) -> None:
        """Register a name; the same with the same tag counts once."""
        tags = self._tags.get(words, ())
        if tag in tags:
            return
        self._tags[words] = (*tags, tag)
        if not tags:
            for word in set(words):
                self.words.add(word)
            for key in _keys(words):
                self._places[key] = (*self._places.get(key, ()), words)

    def remove(self, words: tuple[str, ...], tag: PhraseTag) -> None:
        """Remove a name; one that is not there is no error."""
        if tag not in self._tags.get(words, ()):
            return
        rest = tuple(other for other in self._tags[words] if other != tag)
        if rest:
            self._tags[words] = rest
            return
        del self._tags[words]
        for word in set(words):
            self.words.remove(word)
        for key in _keys(words):
            others = tuple(other for other in self._places[key] if other != words)
            if others:
                self._places[key] = others
            else:
                del self._places[key]

    def find(self, text: str, view: TextView, unknown: Sequence[int]) -> Iterator[NearName]:
        """Names nearly written in `view`; `unknown` are the places of its words that are no known words."""
        done = -1  # the last place whose pair with its follower was looked at
        for place in unknown:
            for word in self.words.near(view.words[place]):
                if (word,) in self._places:
                    yield from self._with(text, view, place, (word,))
            for left in (place - 1, place):
                if done < left < len(view.words) - 1 and left >= 0:
                    done = left
                    lefts, rights = self._options(view.words[left]), self._options(view.words[left + 1])
                    for pair in product(lefts, rights) if lefts and rights else ():
                        if pair in self._places:
                            yield from self._with(text, view, left, pair)

    def _options(self, found: str) -> tuple[str, ...]:
        """The registered words that a word of a text may be."""
        return (found, *self.words.near(found)) if found in self.words else self.words.near(found)

    def _with(self, text: str, view: TextView, at: int, key: tuple[str, ...]) -> Iterator[NearName]:
        """The names that have the words `key` in a row, where these stand from `at` on."""
        for words in self._places[key]:
            first = at - _place_of(key, words)
            score = _score(text, view, first, words)
            if score >= _LEAST_SCORE:
                last = first + len(words) - 1
                yield NearName(first=first, last=last, tags=self._tags[words], score=round(score, 3))


def _keys(words: tuple[str, ...]) -> set[tuple[str, ...]]:
    """What a name is looked up by: every two words in a row, or its only word."""
    return set(pairwise(words)) if len(words) > 1 else {words}


def _place_of(key: tuple[str, ...], words: tuple[str, ...]) -> int:
    return next(place for place in range(len(words)) if words[place : place + len(key)] == key)


def _score(text: str, view: TextView, first: int, words: tuple[str, ...]) -> float:
    """How nearly the view's words from `first` on are a name's; 0 if they are not, or are exactly."""
    if first < 0 or first + len(words) > len(view.words):
        return 0.0
    known = known_words()
    slips, strangers, is_careful = 0, 0, True
    is_short = sum(map(len, words)) < _SHORT_CHARS
    for place, word in enumerate(words, first):
        found = view.words[place]
        gap = text[view.ends[place - 1] : view.starts[place]] if place > first else ""
        if (
            len(gap) > _GAP_LIMIT_CHARS
            or _SENTENCE_MARKS.intersection(gap)
            or (is_short and any(map(str.isspace, gap)))
        ):
            return 0.0
        if found == word:
            continue
        between = slips_between(found, word)
        if between is None or found in known.little or _another_number(found, word):
            return 0.0
        is_possessive = place == first + len(words) - 1 and found == word + "s" and all(map(str.isalpha, words))
        slips += between
        strangers += (is_possessive and len(words) > 1) or found not in known.words
        is_careful = is_careful and (between == 1 or found not in known.words) and begins_alike(found, word)
    if not strangers or (slips > max(_MOST_SLIPS_ANYHOW, len(words)) and not is_careful):
        return 0.0
    if len(words) == 1 and not _may_stand_alone(words[0], slips):
        return 0.0
    return 1.0 - slips / sum(map(len, words))


def _another_number(found: str, word: str) -> bool:
    """A number that differs is no slip: "Person 10" is somebody else than "Person 1"."""
    number = [char for char in word if char.isdigit()]
    return bool(number) and number != [char for char in found if char.isdigit()]


def _may_stand_alone(word: str, slips: int) -> bool:
    """May one word that is nearly this name be taken for it?"""
    if not word.isalpha() or len(word) < _SINGLE_FROM_CHARS:
        return False
    return slips == 1 or len(word) >= _SINGLE_TWO_FROM_CHARS
