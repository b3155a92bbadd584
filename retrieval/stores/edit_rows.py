"""Edits of entries' memories as rows, and the store that changes them: numbered, audited and signalled like any change.

Knows which part of the embeddings a kind of item belongs to, not how items are derived from an entry's texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, insert

from retrieval.entry import MemoryEdit, RegisteredEntry
from retrieval.errors import EntryConflict, InvalidEntry
from retrieval.stores import counter, entry_rows, memory_rows
from retrieval.stores.audit_chain import AuditRecord, append_in
from retrieval.stores.database import Database
from retrieval.stores.memory_rows import CORE, DOCUMENTS, MemoryRows
from retrieval.stores.revision_signal import RevisionSignal
from retrieval.stores.tables import memory_edits
from retrieval.stores.timestamps import to_text

EDITS_LIMIT = 2_000
"""Most edits of one entry."""

DOCUMENT_KINDS = frozenset({"claim"})
"""Items that are embedded with the documents; the others belong to the core."""

UNEMBEDDED_KINDS = frozenset({"handle", "attribute"})
"""Items that no embedding is made of."""


class EditStore:
    """Changes what is remembered of an entry beside its body."""

    def __init__(self, database: Database, signal: RevisionSignal) -> None:
        self._database = database
        self._signal = signal

    def change(
        self,
        entry_id: str,
        *,
        put: Sequence[MemoryEdit] = (),
        remove: Sequence[str] = (),
        actor: str,
        if_revision: int | None = None,
        memory: Sequence[MemoryRows] = (),
        elicited: bool = False,
    ) -> RegisteredEntry:
        """Add or replace edits, remove others by item id; the entry gets a new revision.

        Embeddings of the parts that change are dropped; `memory` takes their place. `elicited`: the served model was
        asked, whatever it said. Nothing happens if nothing changes. Raises `EntryNotFound`, `EntryRevoked`,
        `EntryConflict` if `if_revision` is no longer the newest, `InvalidEntry` for too many edits.
        """
        now = datetime.now(UTC)
        with self._database.write() as connection:
            seq = counter.lock(connection)
            record = old = entry_rows.require_live(connection, entry_id)
            if if_revision is not None and if_revision != old.revision:
                raise EntryConflict(
                    f"Entry '{entry_id}' is at revision {old.revision}, not {if_revision}; read it again and retry."
                )
            changed = changed_edits(old.edits, put, remove)
            if changed or (elicited and old.elicited_at is None):
                seq += 1
                edits = merged_edits(old.edits, put, remove)
                record = old.model_copy(update={"edits": edits, "revision": seq, "updated_at": now, "weights": None})
                if elicited:
                    record = record.model_copy(update={"elicited_at": now})
                counter.advance_to(connection, seq)
                _write(connection, old, record, changed, memory)
                counts = {"put": len(put), "removed": len(remove), "elicited": elicited}
                data = {"revision": seq, "previous_revision": old.revision, **counts}
                append_in(connection, [AuditRecord(kind="entry.memory", actor=actor, subject=entry_id, data=data)])
        self._signal.publish(seq)
        return record


def merged_edits(old: Sequence[MemoryEdit], put: Sequence[MemoryEdit], remove: Sequence[str]) -> tuple[MemoryEdit, ...]:
    """The edits after a change, by item id: the same on every reading."""
    merged = {edit.item_id: edit for edit in (*old, *put)}
    for item_id in remove:
        merged.pop(item_id, None)
    if len(merged) > EDITS_LIMIT:
        raise InvalidEntry(f"An entry's memory takes at most {EDITS_LIMIT} edits; remove some, or use documents.")
    return tuple(merged[item_id] for item_id in sorted(merged))


def changed_edits(old: Sequence[MemoryEdit], put: Sequence[MemoryEdit], remove: Sequence[str]) -> list[MemoryEdit]:
    """The edits that come, go or become different."""
    known = {edit.item_id: edit for edit in old}
    came = [edit for edit in put if known.get(edit.item_id) != edit]
    return [*came, *(known[item_id] for item_id in remove if item_id in known)]


def parts_of(edits: Iterable[MemoryEdit]) -> list[str]:
    """Which parts of the embeddings these edits touch."""
    kinds = {edit.kind for edit in edits} - UNEMBEDDED_KINDS
    return [CORE] * bool(kinds - DOCUMENT_KINDS) + [DOCUMENTS] * bool(kinds & DOCUMENT_KINDS)


def _write(
    connection: Connection,
    old: RegisteredEntry,
    new: RegisteredEntry,
    changed: Sequence[MemoryEdit],
    memory: Sequence[MemoryRows],
) -> None:
    parts = parts_of(changed)
    entry_rows.replace_body(connection, old, new, core=CORE in parts, documents=DOCUMENTS in parts)
    memory_rows.drop(connection, new.id, parts)
    memory_rows.replace(connection, [(new.id, rows) for rows in memory if rows.part in parts])
    ids = [edit.item_id for edit in changed]
    connection.execute(delete(memory_edits).where(memory_edits.c.entry_id == new.id, memory_edits.c.item_id.in_(ids)))
    left = {edit.item_id: edit for edit in new.edits}
    rows = [
        {"entry_id": new.id, "edited_at": to_text(new.updated_at), **left[item_id].model_dump()}
        for item_id in dict.fromkeys(ids)
        if item_id in left
    ]
    if rows:
        connection.execute(insert(memory_edits), rows)
