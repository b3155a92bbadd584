"""What is read of an entry is read once for each revision, and nobody waits for another's reading."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from retrieval.entry import RegisteredEntry
from retrieval.memory.items import added
from retrieval.memory.once_per_revision import OncePerRevision
from tests.fakes.people import person

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def record(entry_id: str = "a", revision: int = 1, *, name: str = "Mira Quelle", claim: str = "") -> RegisteredEntry:
    edits = (added("claim", claim),) if claim else ()
    return RegisteredEntry(
        id=entry_id, revision=revision, entry=person(name), created_at=NOW, updated_at=NOW, edits=edits
    )


class Reader:
    def __init__(self) -> None:
        self.read: list[tuple[str, int, bytes]] = []

    def __call__(self, one: RegisteredEntry, key: bytes) -> str:
        self.read.append((one.id, one.revision, key))
        return f"{one.entry.name} {len(one.edits)} {key.decode()}"


def test_a_revision_is_read_once_for_each_value_that_it_hangs_on() -> None:
    reader = Reader()
    cache = OncePerRevision(reader)
    assert not cache.knows(record(), b"k")
    for _ in range(3):
        assert cache.of(record(), b"k") == "Mira Quelle 0 k"
    assert cache.knows(record(), b"k")
    cache.of(record(), b"other")
    cache.of(record(revision=2), b"k")
    assert reader.read == [("a", 1, b"k"), ("a", 1, b"other"), ("a", 2, b"k")]


def test_another_content_under_the_same_revision_is_read_anew() -> None:
    cache = OncePerRevision(Reader())
    assert cache.of(record(), b"k") == "Mira Quelle 0 k"
    assert cache.of(record(name="Tobias Unruh"), b"k") == "Tobias Unruh 0 k"
    assert cache.of(record(name="Tobias Unruh", claim="He kept geese in Ven."), b"k") == "Tobias Unruh 1 k"


def test_the_least_recently_asked_is_given_up() -> None:
    reader = Reader()
    cache = OncePerRevision(reader, most=2)
    for entry_id in "abac":
        cache.of(record(entry_id), b"k")
    assert (cache.knows(record("a"), b"k"), cache.knows(record("b"), b"k")) == (True, False)


def test_who_asks_for_what_is_there_does_not_wait_for_a_reading() -> None:
    begun, may_end = threading.Event(), threading.Event()

    def slow(one: RegisteredEntry) -> str:
        if one.id == "slow":
            begun.set()
            assert may_end.wait(30)
        return one.id

    cache = OncePerRevision(slow)
    cache.of(record("quick"))
    thread = threading.Thread(target=cache.of, args=(record("slow"),))
    thread.start()
    assert begun.wait(30)
    assert cache.of(record("quick")) == "quick"
    may_end.set()
    thread.join()
    assert cache.knows(record("slow"))
