"""Forbidden phrases as a trie over folded letters, followed one symbol at a time through a text that is being written.

A text becomes *symbols*: its characters as `retrieval.text.characters` folds them (case, accents, look-alikes), every
run of what separates words as one `GAP`, invisible characters as nothing. Phrases are cut into words by `normalise`, so
a phrase stands in a text here exactly where `PhraseAutomaton` finds it, but for one thing: words may stand any distance
apart.

A *place* is a node of the trie: at the start of a word (the root, or behind a word of a phrase) or inside one. Every
place moves on by itself, whatever other places there are, so what is known of single places adds up for a set of them.

It does not know tokens, scores or entries. Depths are in letters, gaps not counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from retrieval.text.characters import Kind, fold_char
from retrieval.text.views import normalise

GAP = " "
ROOT = 0
DEAD = -1

_ASCII_GAP = re.compile(r"[^a-z0-9]+")
_SEPARATING = (Kind.GAP, Kind.ALONE)


def kind_of(symbol: str) -> Kind:
    """What a symbol does to the words around it; folding a folded letter changes nothing."""
    return fold_char(symbol)[0][0]


def symbols_of(text: str) -> str:
    """A text as symbols, one character each."""
    if text.isascii():
        return _ASCII_GAP.sub(GAP, text.lower())
    out: list[str] = []
    for char in text:
        for kind, piece in fold_char(char):
            symbol = GAP if kind is Kind.GAP else piece
            if symbol and not (symbol == GAP and out and out[-1] == GAP):
                out.append(symbol)
    return "".join(out)


class Followed(NamedTuple):
    """Where the places stand behind a text, and whether a phrase is whole in it or would be if it ended here."""

    places: frozenset[int]
    complete: bool


class PhraseTrie:
    """Compiled phrases; build with `compile_phrases`. Never changes."""

    def __init__(self, phrases: Iterable[str]) -> None:
        self._children: list[dict[str, int]] = [{}]
        self._starts_word = [True]
        self._alone = [False]
        self._shortest = [0]
        self.whole = [False]
        """By place: a phrase ends here."""
        self.depth = [0]
        """By place: letters of the phrase written so far."""
        for phrase in phrases:
            self._add(normalise(phrase).words)

    def _add(self, words: tuple[str, ...]) -> None:
        if not words:
            return
        letters = sum(map(len, words))
        place = ROOT
        for number, word in enumerate(words):
            if number:
                place = self._grow(place, GAP, letters, starts_word=True)
            for symbol in word:
                place = self._grow(place, symbol, letters, starts_word=False)
        self.whole[place] = True

    def _grow(self, place: int, symbol: str, letters: int, *, starts_word: bool) -> int:
        found = self._children[place].get(symbol)
        if found is None:
            found = self._children[place][symbol] = len(self._children)
            self._children.append({})
            self._starts_word.append(starts_word)
            begins = self._starts_word[place]
            self._alone.append(kind_of(symbol) is Kind.ALONE if begins else self._alone[place])
            self._shortest.append(letters)
            self.whole.append(False)
            self.depth.append(self.depth[place] + (not starts_word))
        self._shortest[found] = min(self._shortest[found], letters)
        return found

    def share(self, place: int) -> float:
        """How much of the shortest phrase through `place` is written there, between 0 and 1."""
        return self.depth[place] / self._shortest[place] if place != ROOT else 0.0

    def first_symbols(self) -> Iterable[str]:
        """What phrases begin with."""
        return self._children[ROOT]

    def ends_word(self, place: int, kind: Kind) -> bool:
        """True if a symbol of this kind shows that the word at `place` is over."""
        if self._starts_word[place]:
            return False
        return kind in _SEPARATING or (kind is Kind.LETTER and self._alone[place])

    def step(self, place: int, symbol: str, kind: Kind) -> int:
        """The place behind one more symbol; `DEAD` if no phrase goes on like that."""
        if self._starts_word[place]:
            return place if kind is Kind.GAP or kind is Kind.MARK else self._children[place].get(symbol, DEAD)
        if self.ends_word(place, kind):
            place = self._children[place].get(GAP, DEAD)
            if place == DEAD or kind is Kind.GAP:
                return place
        return self._children[place].get(symbol, DEAD)

    def behind_gap(self, places: Iterable[int]) -> frozenset[int]:
        """Where the places stand if a gap comes next."""
        moved = {self.step(place, GAP, Kind.GAP) for place in places}
        return frozenset(moved - {DEAD} | {ROOT})

    def follow(self, places: frozenset[int], symbols: str) -> Followed:
        """The places behind more text. Any phrase may begin where a word may; a gap or a letter that is a word by
        itself lets one begin behind it."""
        complete = False
        for symbol in symbols:
            kind = kind_of(symbol)
            moved: set[int] = set()
            for place in places:
                complete = complete or (self.whole[place] and self.ends_word(place, kind))
                moved.add(self.step(place, symbol, kind))
            if kind in _SEPARATING:
                moved.add(ROOT)
            if kind is Kind.ALONE:
                moved.add(self._children[ROOT].get(symbol, DEAD))
            moved.discard(DEAD)
            places = frozenset(moved)
        return Followed(places, complete or any(self.whole[place] for place in places))


@lru_cache(maxsize=256)
def compile_phrases(phrases: tuple[str, ...]) -> PhraseTrie:
    """The trie of these phrases, built once. A phrase without words is nothing."""
    return PhraseTrie(phrases)
