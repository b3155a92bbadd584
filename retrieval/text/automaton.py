"""Many phrases found in one pass over a text, whole or streaming.

A trie over words, walked from every word of the text. It has no failure links on purpose: a phrase is registered or
removed in time proportional to its own length and is in force at once, where Aho-Corasick links would have to be
rebuilt over all phrases. Most words begin no phrase, so the walk from a word is nearly always one dictionary lookup.

It does not know entries: a tag is any hashable value. Offsets are half-open character ranges into the text as given;
a phrase fits whole words only. Words of a phrase may stand at most `GAP_LIMIT_CHARS` characters apart, in `find` and
in `scan` alike, so an endless run of separators cannot keep a stream waiting.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from retrieval.text.characters import Kind
from retrieval.text.views import TextView, ends_inside_word, first_kind, last_kind, normalise

GAP_LIMIT_CHARS = 64

_LOOKED_AT_CHILDREN = 32
_SORTED_FROM_CHILDREN = 16  # below this, looking at every child is as fast as keeping them in order

Tag = TypeVar("Tag", bound=Hashable)


@dataclass(frozen=True, slots=True)
class PhraseHit(Generic[Tag]):
    """A phrase in a text and every tag it was added with, in the order of addition."""

    start: int
    end: int
    tags: tuple[Tag, ...]


@dataclass(frozen=True, slots=True)
class Scan(Generic[Tag]):
    """What a stream's tail holds.

    `hits` are certain whatever follows. `text[:pending_from]` can be part of no phrase but those in `hits`; the rest
    must wait. `inside_word` is what the next scan is told once `text[:pending_from]` has been released.
    `pending_limit` is the length in characters of the longest phrase that the waiting text may become.
    """

    hits: tuple[PhraseHit[Tag], ...]
    pending_from: int
    inside_word: bool
    pending_limit: int = 0


class _Node(Generic[Tag]):
    """A word's place in a phrase. A single child needs no dictionary: most nodes of long phrases have one."""

    __slots__ = ("child", "in_order", "key", "longest", "many", "tags")

    def __init__(self) -> None:
        self.key: str | None = None
        self.child: _Node[Tag] | None = None
        self.many: dict[str, _Node[Tag]] | None = None
        self.in_order: list[str] | None = None
        self.tags: tuple[Tag, ...] = ()
        self.longest = 0  # characters of the longest phrase through here; may outlive a removed phrase

    def step(self, word: str) -> _Node[Tag] | None:
        if self.many is not None:
            return self.many.get(word)
        return self.child if self.key == word else None

    def grow(self, word: str) -> _Node[Tag]:
        found = self.step(word)
        if found is not None:
            return found
        node = _Node[Tag]()
        if self.many is None and self.child is None:
            self.key, self.child = word, node
            return node
        if self.many is None:
            self.many = {}
            if self.key is not None and self.child is not None:
                self.many[self.key] = self.child
            self.key = self.child = None
        self.many[word] = node
        if self.in_order is not None:
            insort(self.in_order, word)
        return node

    def prune(self, word: str) -> None:
        if self.many is None:
            self.key = self.child = None
            return
        del self.many[word]
        if self.in_order is not None:
            del self.in_order[bisect_left(self.in_order, word)]

    @property
    def is_leaf(self) -> bool:
        return not self.many and self.child is None

    def may_continue(self, beginning: str) -> bool:
        """True if some child's word begins with `beginning`."""
        if self.many is None:
            return self.key is not None and self.key.startswith(beginning)
        if len(self.many) < _SORTED_FROM_CHILDREN:
            return any(word.startswith(beginning) for word in self.many)
        if self.in_order is None:
            self.in_order = sorted(self.many)
        place = bisect_left(self.in_order, beginning)
        return place < len(self.in_order) and self.in_order[place].startswith(beginning)

    def reach(self, beginning: str) -> int:
        """The longest phrase through a child whose word begins with `beginning`; looks at a few children only, and
        answers for any child where there are more."""
        if self.many is None:
            return self.child.longest if self.child is not None and self.may_continue(beginning) else 0
        if len(self.many) < _SORTED_FROM_CHILDREN or self.in_order is None:
            return max((node.longest for word, node in self.many.items() if word.startswith(beginning)), default=0)
        place = bisect_left(self.in_order, beginning)
        words = self.in_order[place : place + _LOOKED_AT_CHILDREN]
        fitting = [word for word in words if word.startswith(beginning)]
        if len(fitting) == _LOOKED_AT_CHILDREN:
            return self.longest
        return max((self.many[word].longest for word in fitting), default=0)


class PhraseAutomaton(Generic[Tag]):
    """Phrases with tags. Not thread-safe: one thread owns it."""

    def __init__(self) -> None:
        self._root = _Node[Tag]()
        self._root.many = {}
        self._first = self._root.many
        self._count = 0

    def __len__(self) -> int:
        """How many different (phrase, tag) pairs there are."""
        return self._count

    def add(self, phrase: str, tag: Tag) -> None:
        """Add a phrase; the same phrase (as compared) with the same tag counts once. A phrase without words is
        nothing."""
        words = normalise(phrase).words
        if not words:
            return
        node = self._root
        for word in words:
            node.longest = max(node.longest, len(phrase))
            node = node.grow(word)
        node.longest = max(node.longest, len(phrase))
        if tag not in node.tags:
            node.tags = (*node.tags, tag)
            self._count += 1

    def remove(self, phrase: str, tag: Tag) -> None:
        """Remove a pair; one that is not there is no error."""
        path: list[tuple[_Node[Tag], str]] = []
        node = self._root
        for word in normalise(phrase).words:
            path.append((node, word))
            following = node.step(word)
            if following is None:
                return
            node = following
        if tag not in node.tags:
            return
        node.tags = tuple(other for other in node.tags if other != tag)
        self._count -= 1
        for parent, word in reversed(path):
            if node.tags or not node.is_leaf:
                return
            parent.prune(word)
            node = parent

    def find(self, text: str) -> list[PhraseHit[Tag]]:
        """Every phrase in a whole text, overlapping ones too, by start and then by end."""
        view = normalise(text)
        first = self._first
        hits: list[PhraseHit[Tag]] = []
        for place, word in enumerate(view.words):
            if word in first:
                hits.extend(self._from(view, place, len(view.words)))
        return hits

    def _from(self, view: TextView, place: int, stop: int) -> Iterator[PhraseHit[Tag]]:
        """The phrases that begin at word `place` and end before word `stop`."""
        node = self._first[view.words[place]]
        at = place
        while True:
            if node.tags:
                yield PhraseHit(view.starts[place], view.ends[at], node.tags)
            at += 1
            if at >= stop or view.starts[at] - view.ends[at - 1] > GAP_LIMIT_CHARS:
                return
            following = node.step(view.words[at])
            if following is None:
                return
            node = following

    def scan(self, text: str, *, final: bool, inside_word: bool = False) -> Scan[Tag]:
        """Look at the part of a stream that has not been released.

        `inside_word`: the character released just before belongs to a word that may go on (`Scan.inside_word` of the
        scan before, or `views.ends_inside_word` of what was released); then the first word of `text` is its rest and
        begins no phrase. `final`: nothing follows.
        """
        view = normalise(text)
        words, first = view.words, self._first
        begin = 1 if inside_word and words and first_kind(text) is Kind.LETTER else 0
        is_open = not final and last_kind(text) in (Kind.LETTER, Kind.ALONE) and len(words) > begin
        closed = len(words) - 1 if is_open else len(words)
        hits: list[PhraseHit[Tag]] = []
        pending, limit = len(text), 0
        for place in range(begin, closed):
            if words[place] in first:
                hits.extend(self._from(view, place, closed))
                if not final and pending == len(text):
                    limit = self._reach(view, place, closed, len(text))
                    pending = view.starts[place] if limit else pending
        if is_open and pending == len(text) and self._root.may_continue(words[-1]):
            pending, limit = view.starts[-1], self._root.reach(words[-1])
        return Scan(tuple(hits), pending, ends_inside_word(text[:pending], before=inside_word), limit)

    def _reach(self, view: TextView, place: int, closed: int, length: int) -> int:
        """The longest phrase that the words from `place` to the end of the text may still become; 0 if none."""
        node = self._first[view.words[place]]
        for at in range(place + 1, closed):
            if view.starts[at] - view.ends[at - 1] > GAP_LIMIT_CHARS:
                return 0
            following = node.step(view.words[at])
            if following is None:
                return 0
            node = following
        if closed < len(view.words):
            gap = view.starts[closed] - view.ends[closed - 1]
            return node.reach(view.words[closed]) if gap <= GAP_LIMIT_CHARS else 0
        return node.longest if length - view.ends[closed - 1] <= GAP_LIMIT_CHARS and not node.is_leaf else 0
