"""What is read or made of an entry, once for each revision of it: a cache that threads may share.

It holds the entries that were asked for last. Reading is done outside the lock, so that nobody who asks for what is there
waits for somebody who reads; two threads that ask for the same new revision at once may both read it. It does not know
what is read. Two records with the same id and revision but other contents (of two registries) are told apart.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Concatenate, Generic, ParamSpec, TypeVar

from retrieval.entry import RegisteredEntry

P = ParamSpec("P")
T = TypeVar("T")

KEPT = 128
"""Entries that are kept; a reading of a long document takes some hundred kilobytes."""


class OncePerRevision(Generic[P, T]):
    """`read` takes a record, and hashable values on which the result hangs as well; it must always give the same."""

    def __init__(self, read: Callable[Concatenate[RegisteredEntry, P], T], *, most: int = KEPT) -> None:
        self._read = read
        self._most = most
        self._kept: OrderedDict[object, tuple[RegisteredEntry, T]] = OrderedDict()
        self._lock = threading.Lock()

    def knows(self, record: RegisteredEntry, *more: P.args, **named: P.kwargs) -> bool:
        """True if `of` has the answer ready."""
        with self._lock:
            return self._found(self._key(record, more, named), record) is not None

    def of(self, record: RegisteredEntry, *more: P.args, **named: P.kwargs) -> T:
        """What was read of this revision, read now if need be."""
        key = self._key(record, more, named)
        with self._lock:
            found = self._found(key, record)
        if found is not None:
            return found[1]
        made = self._read(record, *more, **named)
        with self._lock:
            self._kept[key] = record, made
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return made

    def _found(self, key: object, record: RegisteredEntry) -> tuple[RegisteredEntry, T] | None:
        found = self._kept.get(key)
        if found is None or not _is_same(found[0], record):
            return None
        self._kept.move_to_end(key)
        return found

    @staticmethod
    def _key(record: RegisteredEntry, more: tuple[object, ...], named: dict[str, object]) -> object:
        return record.id, record.revision, more, tuple(sorted(named.items()))


def _is_same(one: RegisteredEntry, other: RegisteredEntry) -> bool:
    return one is other or (one.entry == other.entry and one.edits == other.edits)
