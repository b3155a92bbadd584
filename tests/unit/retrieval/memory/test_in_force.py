"""Derived names and edits in the live snapshot: met by phrase once a change is applied, and no longer when it goes."""

from __future__ import annotations

from datetime import UTC, datetime

from retrieval.entry import MemoryEdit, RegisteredEntry
from retrieval.memory.items import added, item_id
from retrieval.registry import Change
from retrieval.searcher import Searcher
from retrieval.settings import RetrievalSettings
from tests.fakes.people import person

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ENTRY = person("Mira Quelle", documents=["Mira Johanna Quelle (born Mira Anna Tessen; 1951) is a writer."])
BIRTH_NAME = "Mira Anna Tessen"


def found(searcher: Searcher, text: str) -> set[str]:
    return {tag.kind for hit in searcher.find_phrases(text) for tag in hit.tags}


def apply(searcher: Searcher, seq: int, *edits: MemoryEdit, revoked: bool = False) -> None:
    record = RegisteredEntry(
        id="mira",
        revision=seq,
        entry=ENTRY,
        created_at=NOW,
        updated_at=NOW,
        edits=edits,
        revoked_at=NOW if revoked else None,
    )
    searcher.apply([Change(seq=seq, record=record)], {})


def test_a_derived_name_is_met_until_it_is_switched_off_or_the_entry_revoked() -> None:
    searcher = Searcher(RetrievalSettings())
    apply(searcher, 1)
    assert found(searcher, f"Who is {BIRTH_NAME}?") == {"alias"}
    assert found(searcher, "Who is Mira?") == set()
    apply(searcher, 2, MemoryEdit(item_id=item_id("alias", BIRTH_NAME), kind="alias", enabled=False))
    assert found(searcher, f"Who is {BIRTH_NAME}?") == set()
    assert found(searcher, "Who is Mira Johanna Quelle?") == {"alias"}
    apply(searcher, 3)
    assert found(searcher, f"Who is {BIRTH_NAME}?") == {"alias"}
    apply(searcher, 4, revoked=True)
    assert found(searcher, f"Who is {BIRTH_NAME}?") == set()


def test_an_added_alias_is_met_only_if_it_is_unmistakable() -> None:
    searcher = Searcher(RetrievalSettings())
    apply(searcher, 1, added("alias", "Goose Lady", is_unmistakable=True), added("alias", "Halva Brandt"))
    assert found(searcher, "Who is the Goose Lady?") == {"alias"}
    assert found(searcher, "Who is Halva Brandt?") == set()
