"""Edits of a memory: numbered, audited, kept with the entry, and what they drop of its embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from retrieval.entry import ForgetEntry, MemoryEdit
from retrieval.errors import EntryConflict, EntryNotFound, EntryRevoked, InvalidEntry
from retrieval.memory.items import added
from retrieval.registry import MemoryRows, Registry
from retrieval.stores import edit_rows, schema
from retrieval.stores.data_folder import DATABASE_FILE
from retrieval.stores.database import Database

MIRA = ForgetEntry(id="mira", name="Mira Quelle", documents=("She kept geese in the village.",))
ALIAS = added("alias", "Halva Brandt", is_unmistakable=True)
CLAIM = added("claim", "She sings.")


def rows(part: str) -> MemoryRows:
    return MemoryRows(part=part, fingerprint="f", kinds=("name",), vectors=b"\0" * 4, dim=2)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry.open(tmp_path)
    opened.create(MIRA, actor="test", memory=[rows("core"), rows("documents")])
    yield opened
    opened.close()


def parts(registry: Registry) -> set[str]:
    return {one.part for one in registry.memory_of(["mira"], "f")["mira"]}


def test_an_edit_is_a_revision_with_an_audit_record_that_holds_no_text(registry: Registry) -> None:
    before = registry.get("mira")
    after = registry.memory_edits.change("mira", put=[ALIAS], actor="key:1")
    assert after.edits == (ALIAS,)
    assert after.revision > before.revision
    assert registry.signal.read() == registry.seq() == after.revision
    assert registry.get("mira") == after
    (change,) = registry.changes_since(before.revision)
    assert change.record == after
    assert registry.list().items == (after,)
    record = registry.audit.page(kind="entry.memory").items[-1]
    assert (record.subject, record.actor, record.data["put"]) == ("mira", "key:1", 1)
    assert "Halva" not in str(record)


def test_edits_are_in_the_same_order_whatever_order_they_came_in(registry: Registry) -> None:
    registry.memory_edits.change("mira", put=[CLAIM], actor="test")
    one = registry.memory_edits.change("mira", put=[ALIAS], actor="test").edits
    registry.memory_edits.change("mira", remove=[CLAIM.item_id], actor="test")
    assert registry.memory_edits.change("mira", put=[CLAIM], actor="test").edits == one


@pytest.mark.parametrize(
    ("edit", "left"),
    [
        (ALIAS, {"documents"}),
        (CLAIM, {"core"}),
        (added("handle", "Tharn Abbey"), {"core", "documents"}),
        (MemoryEdit(item_id="claim-1", kind="claim", enabled=False), {"core"}),
    ],
)
def test_only_the_embeddings_of_the_part_that_changed_are_dropped(
    registry: Registry, edit: MemoryEdit, left: set[str]
) -> None:
    registry.memory_edits.change("mira", put=[edit], actor="test")
    assert parts(registry) == left


def test_embeddings_that_come_with_an_edit_take_the_place_of_those_it_drops(registry: Registry) -> None:
    registry.memory_edits.change("mira", put=[ALIAS], actor="test", memory=[rows("core")])
    assert parts(registry) == {"core", "documents"}


def test_embeddings_made_before_an_edit_come_too_late(registry: Registry) -> None:
    before = registry.get("mira").revision
    after = registry.memory_edits.change("mira", put=[CLAIM], actor="test").revision
    registry.put_memory("mira", before, rows("documents"))
    assert parts(registry) == {"core"}
    assert not registry.memory_ready("mira")
    registry.put_memory("mira", after, rows("documents"))
    assert registry.memory_ready("mira")


def test_nothing_changes_if_nothing_changes(registry: Registry) -> None:
    first = registry.memory_edits.change("mira", put=[ALIAS], actor="test")
    assert registry.memory_edits.change("mira", put=[ALIAS], remove=["nothing-0"], actor="test") == first


def test_a_claim_that_was_added_to_a_bare_entry_must_be_built(registry: Registry) -> None:
    registry.create(ForgetEntry(id="bare", name="Odo Brask"), actor="test")
    assert registry.memory_ready("bare")
    assert registry.memory_edits.change("bare", put=[CLAIM], actor="test").has_document_texts
    assert not registry.memory_ready("bare")


def test_edits_outlive_revisions_of_the_entry_and_need_a_live_one(registry: Registry) -> None:
    registry.memory_edits.change("mira", put=[ALIAS], actor="test")
    assert registry.revise("mira", {"reason": "asked to"}, actor="test").edits == (ALIAS,)
    with pytest.raises(EntryConflict):
        registry.memory_edits.change("mira", put=[CLAIM], actor="test", if_revision=1)
    with pytest.raises(EntryNotFound):
        registry.memory_edits.change("nobody", put=[CLAIM], actor="test")
    registry.revoke("mira", actor="test")
    with pytest.raises(EntryRevoked):
        registry.memory_edits.change("mira", put=[CLAIM], actor="test")


def test_too_many_edits_are_refused_and_none_is_kept(registry: Registry) -> None:
    many = [added("exemplar", f"number {number}") for number in range(edit_rows.EDITS_LIMIT + 1)]
    with pytest.raises(InvalidEntry, match="at most"):
        registry.memory_edits.change("mira", put=many, actor="test")
    assert registry.get("mira").edits == ()


def test_that_the_served_model_was_asked_is_kept_even_if_it_said_nothing(registry: Registry) -> None:
    assert registry.get("mira").elicited_at is None
    after = registry.memory_edits.change("mira", actor="expunge", elicited=True)
    assert after.elicited_at is not None
    assert registry.get("mira") == after
    assert parts(registry) == {"core", "documents"}


def test_a_registry_from_before_edits_is_upgraded_with_its_entries(tmp_path: Path) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    database = Database.sqlite(tmp_path / DATABASE_FILE)
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql(
            "INSERT INTO entries (id, revision, seq, created_seq, core_revision, documents_revision, has_documents, kind,"
            " shadow, created_at, updated_at, body) VALUES ('old', 1, 1, 1, 1, 1, 0, 'custom', 0,"
            " '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z', '{\"name\": \"Odo Brask\"}')"
        )
    database.close()
    registry = Registry.open(tmp_path)
    try:
        assert registry.get("old").edits == ()
        assert registry.memory_edits.change("old", put=[ALIAS], actor="test").edits == (ALIAS,)
    finally:
        registry.close()
