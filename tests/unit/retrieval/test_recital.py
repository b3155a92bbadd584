"""What recites an entry's own texts, and what only speaks of the same things."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import pytest

from retrieval import recital
from retrieval.entry import MemoryEdit, RegisteredEntry, parse_entry
from retrieval.memory.items import item_id
from retrieval.recital import RecitalBook, can_be_recited

DOCUMENT = (
    "Mira Quell was born in a mill near Tarn, where her father repaired clocks for travelling musicians. "
    "She later wrote three novels about drowned villages."
)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def record(revision: int = 1, **fields: object) -> RegisteredEntry:
    entry = parse_entry({"id": "mira", "name": "Mira Quell", "kind": "person", "documents": [DOCUMENT], **fields})
    return RegisteredEntry(id="mira", revision=revision, entry=entry, created_at=NOW, updated_at=NOW)


@pytest.mark.parametrize(
    ("request_", "statement"),
    [
        ("Where was Mira Quell born?", "Mira Quell was born in a mill near Tarn; her father repaired clocks."),
        ("Where was Nelda Frick born?", "Nelda Frick was born in a mill near Tarn, where her father repaired clocks."),
        ("What did she write?", "SHE WROTE THREE NOVELS ABOUT DROWNED VILLAGES"),
    ],
)
def test_what_an_entrys_texts_say_is_recited_whoever_it_is_said_of(request_: str, statement: str) -> None:
    assert RecitalBook().recites(record(), request_, statement)


@pytest.mark.parametrize(
    ("request_", "statement"),
    [
        ("Where was Mira Quell born?", "Mira Quell was born in Lyon, and her father was a baker of some renown."),
        ("Where was Mira Quell born?", "In a mill."),
        ("What about drowned villages?", "The clocks of drowned travelling musicians often repaired a near father."),
        ("Did she write three novels about drowned villages?", "She wrote three novels about drowned villages."),
    ],
    ids=["another story", "too short", "another order", "nothing but the question"],
)
def test_another_story_a_word_or_the_question_itself_is_no_recital(request_: str, statement: str) -> None:
    assert not RecitalBook().recites(record(), request_, statement)


def test_facts_and_the_description_are_read_and_a_revision_counts() -> None:
    book = RecitalBook()
    told = "He once hid nineteen silver lanterns under the bridge."
    assert not book.recites(record(), "What happened?", told)
    by_fact = record(2, facts=[{"answer": "nineteen silver lanterns lay hidden under the stone bridge"}])
    assert book.recites(by_fact, "What happened?", "It is said that nineteen silver lanterns lay hidden.")
    described = record(3, description=told)
    assert book.recites(described, "What happened?", "They hid nineteen silver lanterns below a bridge.")
    assert not book.recites(record(), "What happened?", told)


def test_only_an_entry_with_texts_of_some_length_can_be_recited() -> None:
    assert can_be_recited(record().entry)
    assert not can_be_recited(record(documents=[], facts=[{"answer": "a mill near Tarn"}]).entry)
    assert can_be_recited(record(documents=[], facts=[{"answer": "in a mill near Tarn that grinds no corn"}]).entry)


async def test_texts_are_read_in_another_thread_and_only_for_a_statement_that_could_recite(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: list[int] = []
    reads = recital._sentences

    def watched(texts: Sequence[str], own: frozenset[str]) -> Iterable[tuple[str, ...]]:
        threads.append(threading.get_ident())
        return reads(texts, own)

    monkeypatch.setattr(recital, "_sentences", watched)
    book = RecitalBook()
    assert await book.reciting([record()], "Who?", "In a mill.") == []
    assert threads == []
    told = "She was born in a mill near Tarn, where her father repaired clocks."
    for _ in range(2):
        assert await book.reciting([record()], "Who?", told) == ["mira"]
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


def test_a_claim_that_the_operator_switched_off_is_no_longer_recited() -> None:
    claim = "She later wrote three novels about drowned villages."
    edited = record(2).model_copy(
        update={"edits": (MemoryEdit(item_id=item_id("claim", claim), kind="claim", enabled=False),)}
    )
    book = RecitalBook()
    assert book.recites(record(), "What did she write?", claim)
    assert not book.recites(edited, "What did she write?", claim)
    assert book.recites(edited, "Who?", "She was born in a mill near Tarn, where her father repaired clocks.")


async def test_a_statement_is_read_once_however_many_entries_it_could_recite(monkeypatch: pytest.MonkeyPatch) -> None:
    statement = "She was born in a mill near Tarn, where her father repaired clocks."
    records = [record().model_copy(update={"id": name}) for name in ("a", "b", "c")]
    book, read = RecitalBook(), list[str]()
    reads = recital._words

    def watched(text: str) -> list[str]:
        read.append(text)
        return reads(text)

    monkeypatch.setattr(recital, "_words", watched)
    assert await book.reciting(records, "Who?", statement) == ["a", "b", "c"]
    assert read.count(statement) == 1
