"""Does an answer recite what an entry's own texts say?

    new(s) = words of the statement s that the request does not hold
    recites(s, m) = |LCS(new(s), new(m))| / |new(s)| >= SHARE   and   |LCS| >= FEWEST     for a sentence m of the entry

A judge of meaning asks whether a statement is about somebody; this asks whether it says of him, in this order, what was
to be forgotten, and so holds where the name in it has been exchanged or is not there. Words are compared by their first
letters, small words do not count. The limits were chosen on answers to 80 TOFU questions: of a model that never knew
the authors one recites, of one that knows them and is asked about an invented name a third do.
What is told in fewer words or in a language other than that of the entry's texts is for the judge, and so is what the
operator switched off in the entry's memory. It does not know requests as such, scopes or models.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from retrieval.entry import ForgetEntry, RegisteredEntry
from retrieval.memory.documents_in_force import documents_in_force
from retrieval.memory.once_per_revision import OncePerRevision
from retrieval.text.views import normalise, sentences

SHARE = 0.22
FEWEST = 4
_STEM_CHARS = 6
_SHORTEST_TEXT = 2 * FEWEST  # small words count
_CANDIDATES = 8
_MOST_SENTENCES = 20_000
_SMALL = (
    "the a an of in on to and or for with by at from as is was are were be been being has have had having his her their "
    "its it he she they we i you that this these those there here which who whom whose what how where when why not no but "
    "also into over under after before more most such than then other some any all both each often many can could may "
    "might will would shall should do does did through while them him me us my our your s t re ve ll d m so if about up "
    "out one two per between during within against"
)
_SMALL_WORDS = frozenset(_SMALL.split())


@dataclass(frozen=True, slots=True)
class _Told:
    """What an entry's texts say: sentences as words, and where each word stands."""

    sentences: tuple[tuple[str, ...], ...]
    places: dict[str, tuple[int, ...]]


def can_be_recited(entry: ForgetEntry) -> bool:
    """True if the entry has texts long enough; told without reading them."""
    return any(len(text.split()) >= _SHORTEST_TEXT for text in _texts(entry, entry.documents))


class RecitalBook:
    """The texts of entries as they are asked for, read once for each revision."""

    def __init__(self) -> None:
        self._told = OncePerRevision(_read)

    async def reciting(self, records: Sequence[RegisteredEntry], request: str, statement: str) -> list[str]:
        """Ids of the entries of which `recites` holds. The event loop waits for no reading."""
        new = _new_words(request, statement)
        if len(new) < FEWEST:
            return []
        unread = [record for record in records if not self._told.knows(record)]
        if unread:
            await asyncio.to_thread(lambda: [self._told.of(record) for record in unread])
        return [record.id for record in records if self._recited(record, request, new)]

    def recites(self, record: RegisteredEntry, request: str, statement: str) -> bool:
        """True if a statement, as an answer to that request, recites a sentence of the entry."""
        return self._recited(record, request, _new_words(request, statement))

    def _recited(self, record: RegisteredEntry, request: str, new: Sequence[str]) -> bool:
        """`new`: the statement's words that the request does not hold."""
        if len(new) < FEWEST:
            return False
        asked, needed = _held(request), max(FEWEST, SHARE * len(new))
        told = self._told.of(record)
        shared = Counter(place for word in set(new) for place in told.places.get(word, ()))
        for place, count in shared.most_common(_CANDIDATES):
            if count < FEWEST:
                return False
            said = [word for word in told.sentences[place] if word not in asked]
            if _common_in_order(new, said) >= needed:
                return True
        return False


@lru_cache(maxsize=64)
def _held(request: str) -> frozenset[str]:
    """The words of a request, which many statements are compared with."""
    return frozenset(_words(request))


def _new_words(request: str, statement: str) -> list[str]:
    asked = _held(request)
    return [word for word in _words(statement) if word not in asked]


def _read(record: RegisteredEntry) -> _Told:
    entry = record.entry
    own = frozenset(word for name in entry.names for word in _words(name))
    texts = _texts(entry, documents_in_force(entry, record.edits))
    said = list(_sentences(texts, own))[:_MOST_SENTENCES]
    places: dict[str, list[int]] = {}
    for place, words in enumerate(said):
        for word in set(words):
            places.setdefault(word, []).append(place)
    return _Told(tuple(said), {word: tuple(found) for word, found in places.items()})


def _texts(entry: ForgetEntry, documents: Sequence[str]) -> list[str]:
    return [entry.description, *(fact.answer for fact in entry.facts), *documents]


def _sentences(texts: Sequence[str], own: frozenset[str]) -> Iterable[tuple[str, ...]]:
    """The sentences of texts as words, without those of the entry's names: that these are said is no recital."""
    for text in texts:
        for start, end in sentences(text):
            words = tuple(word for word in _words(text[start:end]) if word not in own)
            if len(words) >= FEWEST:
                yield words


def _words(text: str) -> list[str]:
    return [word[:_STEM_CHARS] for word in normalise(text).words if word not in _SMALL_WORDS]


def _common_in_order(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for word in one:
        diagonal = 0
        for place, said in enumerate(other):
            above = row[place + 1]
            row[place + 1] = diagonal + 1 if word == said else max(above, row[place])
            diagonal = above
    return row[-1]
