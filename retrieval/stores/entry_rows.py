"""Entries as rows: written, read, filtered by state, with the history of their bodies.

All functions work in the caller's transaction and decide nothing: what may follow upon what is the registry's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, insert, or_, select, true, update

from retrieval.entry import ID_PATTERN, EntryState, ForgetEntry, MemoryEdit, RegisteredEntry
from retrieval.errors import EntryNotFound, EntryRevoked, StoreCorrupt
from retrieval.stores.tables import entries, entry_revisions, memory_edits
from retrieval.stores.timestamps import from_text, optional_text, to_text

_IDS_PER_QUERY = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class TextRevisions:
    """An entry's revision, and the revisions at which its short texts and its documents last changed."""

    entry: int
    core: int
    documents: int
    has_documents: bool
    is_revoked: bool


def insert_new(connection: Connection, records: Sequence[RegisteredEntry]) -> None:
    """Add entries; a new entry's revision is also its place in every order."""
    rows = [
        {
            "id": record.id,
            "created_seq": record.revision,
            "core_revision": record.revision,
            "documents_revision": record.revision,
            **_changing(record),
        }
        for record in records
    ]
    if rows:
        connection.execute(insert(entries), rows)


def replace_body(
    connection: Connection, old: RegisteredEntry, new: RegisteredEntry, *, core: bool, documents: bool
) -> None:
    """Put `new` in place of `old` and keep the old body; `core` and `documents` say which texts changed."""
    connection.execute(
        insert(entry_revisions).values(
            entry_id=old.id,
            revision=old.revision,
            updated_at=to_text(old.updated_at),
            replaced_at=to_text(new.updated_at),
            body=_body(old.entry),
        )
    )
    values = _changing(new)
    if core:
        values["core_revision"] = new.revision
    if documents:
        values["documents_revision"] = new.revision
    connection.execute(update(entries).where(entries.c.id == old.id).values(values))


def touch(connection: Connection, entry_id: str, seq: int) -> None:
    """Give an entry a new place among the changes without a new revision."""
    connection.execute(update(entries).where(entries.c.id == entry_id).values(seq=seq))


def set_weights(connection: Connection, entry_id: str, seq: int, state: EntryState | None) -> None:
    """What weights have to do with an entry, without a new revision."""
    value = None if state is None else state.value
    connection.execute(update(entries).where(entries.c.id == entry_id).values(seq=seq, weights=value))


def find(connection: Connection, entry_id: str) -> RegisteredEntry | None:
    """One entry."""
    row = connection.execute(select(entries).where(entries.c.id == entry_id)).one_or_none()
    return None if row is None else to_records(connection, [row])[0]


def require(connection: Connection, entry_id: str) -> RegisteredEntry:
    """One entry, revoked or not; raises `EntryNotFound`."""
    record = find(connection, entry_id)
    if record is None:
        raise not_found(entry_id)
    return record


def require_live(connection: Connection, entry_id: str) -> RegisteredEntry:
    """One entry that may be changed; raises `EntryNotFound`, `EntryRevoked`."""
    record = require(connection, entry_id)
    if record.revoked_at is not None:
        raise EntryRevoked(f"Entry '{entry_id}' was revoked and cannot be revised; create another one.")
    return record


def not_found(entry_id: str) -> EntryNotFound:
    """The error for an id that no entry has."""
    # A caller may send any text as an id: only what can be one is repeated.
    return EntryNotFound(f"No entry has the id '{entry_id}'." if ID_PATTERN.fullmatch(entry_id) else "No such entry.")


def find_many(connection: Connection, entry_ids: Sequence[str]) -> dict[str, RegisteredEntry]:
    """Those of the ids that exist."""
    found: dict[str, RegisteredEntry] = {}
    for start in range(0, len(entry_ids), _IDS_PER_QUERY):
        chunk = entry_ids[start : start + _IDS_PER_QUERY]
        rows = connection.execute(select(entries).where(entries.c.id.in_(chunk))).all()
        found.update((record.id, record) for record in to_records(connection, rows))
    return found


def page(position: int, limit: int, kind: str | None, state: EntryState | None, now: datetime) -> Select[Any]:
    """The statement for entries created after `position`, oldest first."""
    statement = select(entries).where(entries.c.created_seq > position)
    if kind is not None:
        statement = statement.where(entries.c.kind == kind)
    if state is not None:
        statement = statement.where(in_state(state, now))
    return statement.order_by(entries.c.created_seq).limit(limit)


def changed_after(seq: int, limit: int) -> Select[Any]:
    """The statement for entries that changed after `seq`, in the order of their last change."""
    return select(entries).where(entries.c.seq > seq).order_by(entries.c.seq).limit(limit)


def in_state(state: EntryState, now: datetime) -> ColumnElement[bool]:
    """`RegisteredEntry.state` as SQL; a test holds the two together."""
    moment = to_text(now)
    revoked = entries.c.revoked_at.is_not(None)
    if state is EntryState.REVOKED:
        return revoked
    expired = and_(entries.c.expires_at.is_not(None), entries.c.expires_at <= moment)
    if state is EntryState.EXPIRED:
        return and_(~revoked, expired)
    current = and_(~revoked, or_(entries.c.expires_at.is_(None), entries.c.expires_at > moment))
    if state is EntryState.SCHEDULED:
        return and_(current, entries.c.effective_at > moment)
    current = and_(current, or_(entries.c.effective_at.is_(None), entries.c.effective_at <= moment))
    if state is EntryState.SHADOW:
        return and_(current, entries.c.shadow == true())
    weights = entries.c.weights.is_(None) if state is EntryState.SUPPRESSED else entries.c.weights == state.value
    return and_(current, entries.c.shadow != true(), weights)


def count_live(connection: Connection) -> int:
    """How many entries are not revoked."""
    return int(
        connection.execute(select(func.count()).select_from(entries).where(entries.c.revoked_at.is_(None))).scalar_one()
    )


def text_revisions(connection: Connection, entry_id: str) -> TextRevisions | None:
    """Since when an entry's texts are what they are; None if there is no such entry."""
    columns = (
        entries.c.revision,
        entries.c.core_revision,
        entries.c.documents_revision,
        entries.c.has_documents,
        entries.c.revoked_at,
    )
    row = connection.execute(select(*columns).where(entries.c.id == entry_id)).one_or_none()
    if row is None:
        return None
    return TextRevisions(
        entry=row.revision,
        core=row.core_revision,
        documents=row.documents_revision,
        has_documents=row.has_documents,
        is_revoked=row.revoked_at is not None,
    )


def history(connection: Connection, current: RegisteredEntry) -> list[RegisteredEntry]:
    """Every revision of an entry, oldest first, the current one last."""
    statement = (
        select(entry_revisions).where(entry_revisions.c.entry_id == current.id).order_by(entry_revisions.c.revision)
    )
    old = [
        RegisteredEntry(
            id=current.id,
            revision=row.revision,
            entry=_parse(row.body, current.id),
            created_at=current.created_at,
            updated_at=from_text(row.updated_at),
        )
        for row in connection.execute(statement)
    ]
    return [*old, current]


def to_records(connection: Connection, rows: Sequence[Row[Any]]) -> list[RegisteredEntry]:
    """Rows as the values that travel, with their memories' edits; raises `StoreCorrupt` if a body is no entry."""
    edits = _edits_of(connection, [row.id for row in rows])
    return [
        RegisteredEntry(
            id=row.id,
            revision=row.revision,
            entry=_parse(row.body, row.id),
            created_at=from_text(row.created_at),
            updated_at=from_text(row.updated_at),
            revoked_at=None if row.revoked_at is None else from_text(row.revoked_at),
            weights=None if row.weights is None else EntryState(row.weights),
            edits=edits.get(row.id, ()),
            elicited_at=None if row.elicited_at is None else from_text(row.elicited_at),
        )
        for row in rows
    ]


def _edits_of(connection: Connection, entry_ids: Sequence[str]) -> dict[str, tuple[MemoryEdit, ...]]:
    """The edits of these entries, by item id; entries without any are left out."""
    found: dict[str, list[MemoryEdit]] = {}
    for start in range(0, len(entry_ids), _IDS_PER_QUERY):
        chunk = entry_ids[start : start + _IDS_PER_QUERY]
        statement = select(memory_edits).where(memory_edits.c.entry_id.in_(chunk)).order_by(memory_edits.c.item_id)
        for row in connection.execute(statement):
            edit = {name: getattr(row, name) for name in MemoryEdit.model_fields}
            found.setdefault(row.entry_id, []).append(MemoryEdit.model_validate(edit))
    return {entry_id: tuple(edits) for entry_id, edits in found.items()}


def _changing(record: RegisteredEntry) -> dict[str, Any]:
    entry = record.entry
    return {
        "revision": record.revision,
        "seq": record.revision,
        "has_documents": record.has_document_texts,
        "kind": entry.kind.value,
        "shadow": entry.shadow,
        "weights": None if record.weights is None else record.weights.value,
        "effective_at": optional_text(entry.effective_at),
        "expires_at": optional_text(entry.expires_at),
        "created_at": to_text(record.created_at),
        "updated_at": to_text(record.updated_at),
        "revoked_at": optional_text(record.revoked_at),
        "elicited_at": optional_text(record.elicited_at),
        "body": _body(entry),
    }


def _body(entry: ForgetEntry) -> str:
    return entry.canonical_bytes().decode()


def _parse(body: str, entry_id: str) -> ForgetEntry:
    try:
        return ForgetEntry.model_validate_json(body)
    except ValidationError:
        raise StoreCorrupt(f"The stored body of entry '{entry_id}' is not an entry; restore a backup.") from None
