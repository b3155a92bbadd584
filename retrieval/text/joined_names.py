"""Names whose letters are all there, but not their word ends: "S t e p h e n", "Ste phen", "ilovestephenking2".

    apart     the name's letters over several words of the text, from a word's start to a word's end
    inside    the name's letters within one long word (addresses, hashtags, file names)

Words that merely stand beside each other must not make a name ("There's a May" holds "Theresa May"): the fragments must
be single letters, or hold one that is no known word, or be tied by a mark other than an apostrophe, or cut every part of
the name. It does not know
entries beyond their tags, and reads words that were normalised before.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from retrieval.text.known_words import known_words
from retrieval.text.near_names import NearName
from retrieval.text.phrases import PhraseTag
from retrieval.text.views import TextView

_KEY_CHARS = (4, 6)  # a name is looked up by its first six letters, or four where it has no more
_APART_FROM_CHARS = 6
_LETTERS_FROM_CHARS = 4
_INSIDE_FROM_CHARS = 6
_INSIDE_ANYHOW_FROM_CHARS = 10
_GAP_LIMIT_CHARS = 24
_APOSTROPHES = frozenset("'’‘`´")


class JoinedNames:
    """Not thread-safe: one thread owns it."""

    def __init__(self) -> None:
        self._names: dict[str, tuple[PhraseTag, ...]] = {}
        self._by_key: dict[str, tuple[str, ...]] = {}
        self._parts: dict[str, int] = {}

    def add(self, words: tuple[str, ...], tag: PhraseTag) -> None:
        """Register a name by its words."""
        joined = "".join(words)
        tags = self._names.get(joined, ())
        if len(joined) < _LETTERS_FROM_CHARS or tag in tags:
            return
        self._names[joined] = (*tags, tag)
        self._parts[joined] = max(len(words), self._parts.get(joined, 1))
        if not tags:
            key = _key(joined)
            self._by_key[key] = (*self._by_key.get(key, ()), joined)

    def remove(self, words: tuple[str, ...], tag: PhraseTag) -> None:
        """Remove a name; one that is not there is no error."""
        joined = "".join(words)
        if tag not in self._names.get(joined, ()):
            return
        rest = tuple(other for other in self._names[joined] if other != tag)
        if rest:
            self._names[joined] = rest
            return
        del self._names[joined], self._parts[joined]
        key = _key(joined)
        others = tuple(other for other in self._by_key[key] if other != joined)
        if others:
            self._by_key[key] = others
        else:
            del self._by_key[key]

    def _begun(self, text: str, place: int) -> Iterator[str]:
        """The names that stand at a place of the letters."""
        for chars in _KEY_CHARS:
            for joined in self._by_key.get(text[place : place + chars], ()):
                if text.startswith(joined, place):
                    yield joined

    def apart(self, text: str, view: TextView, *, is_loose: bool = False) -> Iterator[NearName]:
        """Names spread over several words. `is_loose`: the words are fragments anyway."""
        letters = "".join(view.words)
        starts = list(accumulate(map(len, view.words), initial=0))
        ends = {end: place for place, end in enumerate(starts[1:])}
        begins = self._by_key
        for first, start in enumerate(starts[:-1]):
            if letters[start : start + 6] not in begins and letters[start : start + 4] not in begins:
                continue
            for joined in self._begun(letters, start):
                last = ends.get(start + len(joined), first)
                if last > first and _is_spread(text, view, first, last, parts=self._parts[joined], is_loose=is_loose):
                    yield NearName(first=first, last=last, tags=self._names[joined], score=0.97)

    def inside(self, view: TextView) -> Iterator[NearName]:
        """Names within one long word. Short names only where nothing but known words and digits is left over."""
        known, begins = known_words().words, self._by_key
        for place, word in enumerate(view.words):
            if len(word) < _INSIDE_FROM_CHARS or word in known:
                continue
            for at in range(len(word) - _INSIDE_FROM_CHARS + 1):
                if word[at : at + 6] in begins:
                    for joined in self._begun(word, at):
                        if _may_be_inside(word, at, joined):
                            yield NearName(first=place, last=place, tags=self._names[joined], score=0.95)


def _key(joined: str) -> str:
    short, long = _KEY_CHARS
    return joined[:long] if len(joined) >= long else joined[:short]


def _may_be_inside(word: str, at: int, joined: str) -> bool:
    if len(joined) >= _INSIDE_ANYHOW_FROM_CHARS:
        return True
    rests = [rest for rest in (word[:at], word[at + len(joined) :]) if rest]
    return len(joined) >= _INSIDE_FROM_CHARS and all(rest.isdigit() or _is_known(rest) for rest in rests)


def _is_known(rest: str) -> bool:
    """A known word of three letters or more, or two of them."""
    known = known_words().words
    stem = rest.rstrip("0123456789")
    cuts = range(2, len(stem) - 1)
    return (len(stem) > 2 and stem in known) or any(stem[:cut] in known and stem[cut:] in known for cut in cuts)


def _is_spread(text: str, view: TextView, first: int, last: int, *, parts: int, is_loose: bool) -> bool:
    """May the words from `first` to `last` be one name's fragments?"""
    words = view.words[first : last + 1]
    gaps = [text[view.ends[place] : view.starts[place + 1]] for place in range(first, last)]
    if any(len(gap) > _GAP_LIMIT_CHARS for gap in gaps):
        return False
    if all(len(word) == 1 for word in words):
        return True
    if sum(map(len, words)) < _APART_FROM_CHARS:
        return is_loose
    known = known_words().words
    pieces = len(words) - sum(any(char in _APOSTROPHES for char in gap) and len(gap) == 1 for gap in gaps)
    is_cut = any(len(word) > 1 and word not in known for word in words) or pieces > parts + 1
    return is_loose or is_cut or any(map(_ties, gaps))


def _ties(gap: str) -> bool:
    """Does what stands between two words say that they are one? A hyphen does, or strings that are added."""
    return "+" in gap or not any(char.isspace() or char in _APOSTROPHES for char in gap)
