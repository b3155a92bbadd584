"""The registry: what is to be forgotten, with every change numbered, kept and audited.

    change = one write transaction (rows + history + memory + audit record + change counter), then the signal

A change that was acknowledged is on the disk and visible to every process of the machine. Two numbers: `seq` counts
every change that a worker must take over (entries, their memory, keys); an entry's `revision` is the `seq` of the last
change of the entry itself. The registry knows nothing of matching, embedding or HTTP; embeddings come in as bytes.

All methods are synchronous and thread-safe; call them with `asyncio.to_thread`. One `Registry` per process.
"""

from __future__ import annotations

import builtins
import secrets
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection

from retrieval.artifacts import Artifacts
from retrieval.entry import EntryKind, EntryState, ForgetEntry, RegisteredEntry
from retrieval.errors import EntryConflict, InvalidEntry, did_you_mean
from retrieval.jobs import Jobs
from retrieval.plans import Plans
from retrieval.schedule import Schedules
from retrieval.served_models import ServedModels
from retrieval.stores import counter, data_folder, entry_rows, memory_rows, schema
from retrieval.stores.audit_chain import AuditLog, AuditRecord, append_in
from retrieval.stores.cursors import check_limit, decode_cursor, encode_cursor
from retrieval.stores.database import Database
from retrieval.stores.edit_rows import EditStore
from retrieval.stores.keys import KeyStore
from retrieval.stores.memory_rows import CORE, DOCUMENTS, MemoryRows
from retrieval.stores.merge_patch import merged
from retrieval.stores.revision_signal import RevisionSignal

__all__ = ["Change", "Created", "EntryPage", "MemoryRows", "Registry"]

# Fields whose change leaves every embedding as it is.
_WITHOUT_MEMORY = frozenset(
    {
        "id",
        "substitute",
        "treatment",
        "modalities",
        "scope",
        "effective_at",
        "expires_at",
        "supplied_context",
        "persistence",
        "shadow",
        "reason",
        "reference",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Created:
    """The answer to a creation; `is_new` is False if the same entry was there already."""

    record: RegisteredEntry
    is_new: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """The newest record of an entry, and the number of its last change."""

    seq: int
    record: RegisteredEntry


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryPage:
    """Entries in the order of their creation; `next_cursor` is None on the last page."""

    items: tuple[RegisteredEntry, ...]
    next_cursor: str | None


class Registry:
    """Entries, their history and memory; with audit log, keys, memory edits, consolidation's jobs and weights, and the
    change signal. `naming_key` is the deployment's secret on which invented names hang."""

    def __init__(self, database: Database, signal: RevisionSignal, *, naming_key: bytes = b"") -> None:
        self._database = database
        self.signal = signal
        self.naming_key = naming_key
        self.audit = AuditLog(database)
        self.keys = KeyStore(database, signal)
        self.memory_edits = EditStore(database, signal)
        self.jobs = Jobs(database)
        self.artifacts = Artifacts(database, signal)
        self.schedules = Schedules(database)
        self.plans = Plans(database)
        self.served_models = ServedModels(database)

    @classmethod
    def open(cls, data_dir: Path) -> Self:
        """Open the registry in a folder; creates the folder, and creates or upgrades the database.

        Raises `StoreUnavailable` (cannot be read, or written by a newer version), `StoreCorrupt` (damaged).
        """
        with data_folder.held(data_dir), ExitStack() as undo:
            database = Database.sqlite(data_dir / data_folder.DATABASE_FILE)
            undo.callback(database.close)
            schema.migrate(database)
            signal = RevisionSignal(data_dir / data_folder.SIGNAL_FILE)
            undo.callback(signal.close)
            registry = cls(database, signal, naming_key=data_folder.naming_key(data_dir))
            registry._agree_on_seq()
            undo.pop_all()
        return registry

    def _agree_on_seq(self) -> None:
        # A counter below the signal (the database was replaced by an older one) would give numbers that no worker
        # notices; a signal below the counter (killed between commit and publish, or the file is new) hides changes.
        with self._database.write() as connection:
            seq = max(counter.lock(connection), self.signal.read())
            counter.advance_to(connection, seq)
        self.signal.publish(seq)

    def create(self, entry: ForgetEntry, *, actor: str, memory: Sequence[MemoryRows] = ()) -> Created:
        """Register one entry; see `create_many`."""
        return self.create_many([(entry, memory)], actor=actor)[0]

    def create_many(
        self, items: Sequence[tuple[ForgetEntry, Sequence[MemoryRows]]], *, actor: str
    ) -> builtins.list[Created]:
        """Register entries, all or none. An entry without an id gets one.

        An id that is there with the same body is left as it is (`is_new` False). Raises `EntryConflict` if the body
        differs or the id was revoked.
        """
        now = datetime.now(UTC)
        with self._database.write() as connection:
            seq = counter.lock(connection)
            known = entry_rows.find_many(connection, [entry.id for entry, _ in items if entry.id is not None])
            results: builtins.list[Created] = []
            memories: builtins.list[tuple[str, MemoryRows]] = []
            for given, memory in items:
                if given.id is not None and given.id in known:
                    results.append(Created(record=_same(known[given.id], given), is_new=False))
                    continue
                seq += 1
                entry = given if given.id is not None else given.model_copy(update={"id": _new_id()})
                record = _first(entry, seq, now)
                known[record.id] = record
                results.append(Created(record=record, is_new=True))
                memories.extend((record.id, rows) for rows in memory)
            new = [result.record for result in results if result.is_new]
            if new:
                counter.advance_to(connection, seq)
                entry_rows.insert_new(connection, new)
                memory_rows.add(connection, memories)
                append_in(connection, [_audit("entry.created", actor, record) for record in new])
        # Also when nothing is new: whoever created it may have been killed between commit and publish.
        self.signal.publish(seq)
        return results

    def preview_revision(self, entry_id: str, changes: Mapping[str, Any]) -> ForgetEntry:
        """What `revise` would make of the entry, checked but not written.

        Embed the result, then pass the `revision` that `get` gave before as `if_revision`: else a change in between
        would be stored with embeddings that do not know it.
        """
        with self._database.read() as connection:
            return merged(entry_rows.require_live(connection, entry_id).entry, changes)

    def revise(
        self,
        entry_id: str,
        changes: Mapping[str, Any],
        *,
        actor: str,
        if_revision: int | None = None,
        memory: Sequence[MemoryRows] = (),
    ) -> RegisteredEntry:
        """Change fields of an entry (JSON merge patch, RFC 7386); no new revision if nothing changes.

        Embeddings of texts that changed are dropped; `memory` takes their place. Raises `EntryNotFound`,
        `EntryRevoked`, `InvalidEntry`, and `EntryConflict` if `if_revision` is no longer the newest.
        """
        now = datetime.now(UTC)
        with self._database.write() as connection:
            seq = counter.lock(connection)
            old = entry_rows.require_live(connection, entry_id)
            if if_revision is not None and if_revision != old.revision:
                raise EntryConflict(
                    f"Entry '{entry_id}' is at revision {old.revision}, not {if_revision}; read it again and retry."
                )
            entry = merged(old.entry, changes)
            fields = _differing(old.entry, entry)
            record = old
            if fields:
                seq += 1
                # Weights cover what the entry said before, not what it says now.
                record = old.model_copy(update={"entry": entry, "revision": seq, "updated_at": now, "weights": None})
                counter.advance_to(connection, seq)
                _replace(connection, old, record, fields, memory)
                data = {"previous_revision": old.revision, "fields": sorted(fields)}
                append_in(connection, [_audit("entry.revised", actor, record, data)])
        self.signal.publish(seq)
        return record

    def revoke(self, entry_id: str, *, actor: str) -> RegisteredEntry:
        """End an entry's enforcement and drop its embeddings; again is the same. Raises `EntryNotFound`."""
        now = datetime.now(UTC)
        with self._database.write() as connection:
            seq = counter.lock(connection)
            record = old = entry_rows.require(connection, entry_id)
            if old.revoked_at is None:
                seq += 1
                record = old.model_copy(update={"revision": seq, "updated_at": now, "revoked_at": now, "weights": None})
                counter.advance_to(connection, seq)
                entry_rows.replace_body(connection, old, record, core=False, documents=False)
                memory_rows.drop(connection, entry_id)
                append_in(connection, [_audit("entry.revoked", actor, record, {"previous_revision": old.revision})])
        self.signal.publish(seq)
        return record

    def mark_weights(
        self, revisions: Mapping[str, int], state: EntryState | None, *, actor: str, reason: str = ""
    ) -> builtins.list[RegisteredEntry]:
        """What weights have to do with these entries now: consolidating, consolidated, verified, or None (only in context).

        An entry is left as it is where it is at another revision than the given one or revoked; the others' revisions stay,
        as nothing of what they say has changed. Gives those that are in the state now.
        """
        with self._database.write() as connection:
            seq = counter.lock(connection)
            known = entry_rows.find_many(connection, [*revisions])
            found = [
                known[entry_id]
                for entry_id, revision in revisions.items()
                if entry_id in known and known[entry_id].revoked_at is None and known[entry_id].revision == revision
            ]
            for record in found:
                if record.weights is not state:
                    seq += 1
                    entry_rows.set_weights(connection, record.id, seq, state)
                    data = {"state": None if state is None else state.value, **({"reason": reason} if reason else {})}
                    append_in(connection, [_audit("entry.weights", actor, record, data)])
            counter.advance_to(connection, seq)
        self.signal.publish(seq)
        return [record.model_copy(update={"weights": state}) for record in found]

    def get(self, entry_id: str) -> RegisteredEntry:
        """The newest record, revoked or not; raises `EntryNotFound`."""
        with self._database.read() as connection:
            return entry_rows.require(connection, entry_id)

    def history(self, entry_id: str) -> builtins.list[RegisteredEntry]:
        """Every revision of the entry, oldest first, the newest last; raises `EntryNotFound`."""
        with self._database.read() as connection:
            return entry_rows.history(connection, entry_rows.require(connection, entry_id))

    def list(
        self,
        *,
        state: EntryState | None = None,
        kind: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> EntryPage:
        """Entries by creation, oldest first; raises `InvalidEntry` for an unknown kind, a bad cursor or limit."""
        if kind is not None and kind not in {known.value for known in EntryKind}:
            raise _unknown_kind(kind)
        position, limit = decode_cursor("entries", cursor), check_limit(limit)
        statement = entry_rows.page(position, limit + 1, kind, state, datetime.now(UTC))
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
            items = tuple(entry_rows.to_records(connection, rows[:limit]))
        more = len(rows) > limit
        return EntryPage(
            items=items, next_cursor=encode_cursor("entries", rows[limit - 1].created_seq) if more else None
        )

    def changes_since(self, seq: int, *, limit: int = 1000) -> builtins.list[Change]:
        """The newest record of every entry that changed after `seq`, in order, revoked ones too.

        A full list may not be all: ask again from its last `seq`.
        """
        with self._database.read() as connection:
            rows = connection.execute(entry_rows.changed_after(seq, limit)).all()
            records = entry_rows.to_records(connection, rows)
        return [Change(seq=row.seq, record=record) for row, record in zip(rows, records, strict=True)]

    def seq(self) -> int:
        """The number of the last change, from the database; `signal.read()` is the cheap one."""
        with self._database.read() as connection:
            return counter.read(connection)

    def entry_count(self) -> int:
        """How many entries are not revoked."""
        with self._database.read() as connection:
            return entry_rows.count_live(connection)

    def put_memory(self, entry_id: str, revision: int, rows: MemoryRows) -> None:
        """Store embeddings that were made in the background from the entry at `revision`.

        Ignored if the embedded texts have changed since, or the entry is revoked or gone.
        """
        with self._database.write() as connection:
            seq = counter.lock(connection) + 1
            since = entry_rows.text_revisions(connection, entry_id)
            if since is None or since.is_revoked:
                return
            made_from = since.core if rows.part == CORE else since.documents
            if not made_from <= revision <= since.entry:
                return
            counter.advance_to(connection, seq)
            entry_rows.touch(connection, entry_id, seq)
            memory_rows.replace(connection, [(entry_id, rows)])
        self.signal.publish(seq)

    def memory_of(self, entry_ids: Sequence[str], fingerprint: str) -> dict[str, builtins.list[MemoryRows]]:
        """The embeddings that an embedder made of these entries; an empty list where there are none."""
        with self._database.read() as connection:
            return memory_rows.load(connection, entry_ids, fingerprint)

    def memory_ready(self, entry_id: str, fingerprint: str | None = None) -> bool:
        """True if the embeddings of the documents are there, or there are no documents; raises `EntryNotFound`."""
        with self._database.read() as connection:
            since = entry_rows.text_revisions(connection, entry_id)
            if since is None:
                raise entry_rows.not_found(entry_id)
            return not since.has_documents or memory_rows.has_part(connection, entry_id, DOCUMENTS, fingerprint)

    def close(self) -> None:
        """Close the database and the signal."""
        self._database.close()
        self.signal.close()


def _new_id() -> str:
    return f"fe_{secrets.token_hex(10)}"


def _first(entry: ForgetEntry, seq: int, now: datetime) -> RegisteredEntry:
    return RegisteredEntry(id=str(entry.id), revision=seq, entry=entry, created_at=now, updated_at=now)


def _same(record: RegisteredEntry, entry: ForgetEntry) -> RegisteredEntry:
    if record.revoked_at is not None:
        raise EntryConflict(f"The entry '{record.id}' was revoked and its id is used up; choose another id.")
    if record.entry != entry:
        raise EntryConflict(
            f"The entry '{record.id}' exists with another body; PATCH /v1/forget/entries/{record.id} to change it."
        )
    return record


def _differing(old: ForgetEntry, new: ForgetEntry) -> frozenset[str]:
    return frozenset(name for name in ForgetEntry.model_fields if getattr(old, name) != getattr(new, name))


def _replace(
    connection: Connection,
    old: RegisteredEntry,
    new: RegisteredEntry,
    fields: frozenset[str],
    memory: Sequence[MemoryRows],
) -> None:
    core, documents = bool(fields - _WITHOUT_MEMORY - {"documents"}), "documents" in fields
    entry_rows.replace_body(connection, old, new, core=core, documents=documents)
    memory_rows.drop(connection, new.id, [CORE] * core + [DOCUMENTS] * documents)
    memory_rows.replace(connection, [(new.id, rows) for rows in memory])


def _unknown_kind(kind: str) -> InvalidEntry:
    known = [item.value for item in EntryKind]
    hint = did_you_mean(kind, known)
    return InvalidEntry(f"Unknown kind '{kind[:64]}'. Known kinds: {', '.join(known)}.{hint}", param="kind")


def _audit(kind: str, actor: str, record: RegisteredEntry, data: Mapping[str, Any] | None = None) -> AuditRecord:
    details = {"revision": record.revision, "kind": record.entry.kind.value, **(data or {})}
    return AuditRecord(kind=kind, actor=actor, subject=record.id, data=details)
