"""Finds what an entry can be gripped by without its name: works, characters, brands, teams and people on its pages.

Handles are evidence beside other evidence, never enough alone: a film has many actors. How special a handle is to an entry
shows only beside the others, so `HandleTable` counts in how many entries each stands. It does not know requests or judges.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from retrieval.entry import ForgetEntry
from retrieval.memory.claims import claims_of
from retrieval.memory.name_runs import name_at, name_end, name_words
from retrieval.memory.ordinary_words import ORDINARY
from retrieval.text.views import normalise

HANDLES_LIMIT = 64
"""Most handles of an entry."""

_QUOTED = re.compile(r"[\"“]([^\"”]{3,60}?)[,.]?[\"”]")
_CAPITAL = re.compile(r"(?<=[a-z0-9,;:)–—] )(?=[A-ZÀ-Þ])")
_QUOTED_WORDS = 6
_BACKGROUND_WORDS = """
academy africa african america american americans april asia asian august australia australian award awards billboard
bbc britain british california canada canadian cbs century china chinese christian christmas cnn december dutch emmy
england english entertainment europe european february florida france french friday german germany golden globe grammy
greek guardian hollywood house india indian international internet ireland irish islamic italian italy james january
japan japanese jewish july june korea latin latino london los angeles magazine march may mexican mexico mondays mtv national
nbc netflix new york november october olympic oscar paris people post presidential prime records republican rolling roman
russia russian saturday school scottish screen guild september south spain spanish state states sunday supreme texas
thursday time times tuesday tv twitter united university usa variety vogue washington wednesday white world youtube
"""
_BACKGROUND = frozenset(_BACKGROUND_WORDS.split()) | ORDINARY


@dataclass(frozen=True, kw_only=True, slots=True)
class Handle:
    """A name on the entry's pages, in comparable words, and how often it stands there."""

    text: str
    words: tuple[str, ...]
    count: int


def handles_of(entry: ForgetEntry, limit: int = HANDLES_LIMIT) -> list[Handle]:
    """The entry's handles, those that its pages speak of most first; its own name is none."""
    own = {word for name in entry.names for word in name_words(name)}
    counts: Counter[tuple[str, ...]] = Counter()
    shown: dict[tuple[str, ...], str] = {}
    for claim in claims_of(entry.name, entry.documents):
        for text in dict.fromkeys(_names_in(claim.sentence)):
            words = normalise(text).words
            if _is_handle(words, own):
                counts[words] += 1
                shown.setdefault(words, text)
    ranked = sorted(counts, key=lambda words: (-counts[words] * (1 + math.log(len(words))), words))
    return [Handle(text=shown[words], words=words, count=counts[words]) for words in ranked[:limit]]


def _names_in(sentence: str) -> Iterator[str]:
    """Quoted titles of a few words, and capitalised names that do not open the sentence."""
    for match in _QUOTED.finditer(sentence):
        if len(match[1].split()) <= _QUOTED_WORDS and match[1][:1].isupper():
            yield match[1]
    at = 0
    for match in _CAPITAL.finditer(sentence):
        if match.start() >= at:
            at = match.start() + name_end(sentence[match.start() :])
            name = name_at(sentence[match.start() :])
            if name:
                yield name.removesuffix("'s").removesuffix("’s")


def _is_handle(words: Sequence[str], own: set[str]) -> bool:
    foreign = [word for word in words if word not in own]
    if not foreign or not any(len(word) > 2 and not word.isdigit() for word in foreign):
        return False
    if len(words) == 1:
        return len(words[0]) >= 4 and words[0] not in _BACKGROUND
    return any(word not in _BACKGROUND for word in foreign) or len(foreign) >= 3


class HandleTable:
    """In how many entries each handle stands. Not thread-safe: one thread owns it."""

    def __init__(self) -> None:
        self._owners: dict[tuple[str, ...], int] = {}
        self._handles: dict[str, tuple[Handle, ...]] = {}

    def put(self, entry_id: str, handles: Sequence[Handle]) -> None:
        """An entry's handles, in place of those it had; none drops it."""
        for handle in self._handles.pop(entry_id, ()):
            self._owners[handle.words] -= 1
            if not self._owners[handle.words]:
                del self._owners[handle.words]
        if handles:
            self._handles[entry_id] = tuple(handles)
            for handle in handles:
                self._owners[handle.words] = self._owners.get(handle.words, 0) + 1

    def weight(self, handle: Handle) -> float:
        """How special it is: its frequency on the entry's pages, less where other entries have it, too (tf-idf)."""
        entries = len(self._handles) + 1
        return (1 + math.log(handle.count)) * (math.log(entries / (1 + self._owners.get(handle.words, 0))) + 1)

    def ranked(self, entry_id: str) -> list[Handle]:
        """An entry's handles, the most special first."""
        return sorted(self._handles.get(entry_id, ()), key=lambda handle: -self.weight(handle))
