"""The audit chain on disk: records, each hashed together with the one before it.

    hash = SHA-256(prev_hash || canonical JSON of {actor, at, data, id, kind, subject})

`prev_hash` is the hexadecimal text, 64 zeros before the first record; canonical JSON has sorted keys and no spaces. All
processes append to one chain: ids count up without gaps inside write transactions, and a head row keeps the end, so a
changed, removed, inserted or cut-off record is found. Whoever can rewrite the whole database can also rewrite the whole
chain: keep head hashes elsewhere (backups carry one) to find that too.

Nothing here knows what a record means. Its data must hold no entry text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection, Row, insert, select, update

from retrieval.errors import StoreCorrupt
from retrieval.stores.cursors import check_limit, decode_cursor, encode_cursor
from retrieval.stores.database import Database
from retrieval.stores.tables import audit_head, audit_records
from retrieval.stores.timestamps import now_text

GENESIS = "0" * 64
_CHAIN = "main"
_READ_ROWS = 2_000


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditRecord:
    """Something that happened: `kind` ("entry.created", "decision" ...) by `actor` to `subject` (an entry or key id).

    `data` must be JSON with string keys, without entry text, prompts or keys.
    """

    kind: str
    actor: str
    subject: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedRecord:
    """A record as the chain holds it. `at` is RFC 3339 in UTC."""

    id: int
    at: str
    kind: str
    actor: str
    subject: str
    data: Mapping[str, Any]
    prev_hash: str
    hash: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditPage:
    """Records in the order of their ids, and where the next page begins."""

    items: tuple[LoggedRecord, ...]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainReport:
    """What a check of the chain found. `first_bad_id` is the first record that is wrong or missing."""

    ok: bool
    records: int
    first_bad_id: int | None
    head_hash: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedRecord:
    """A record that has its time and its data as canonical JSON, so that later changes of the data cannot reach it."""

    at: str
    kind: str
    actor: str
    subject: str
    data_json: bytes

    def digest(self, record_id: int, prev_hash: str) -> str:
        """The record's hash at its place in the chain."""
        body = {
            "actor": self.actor,
            "at": self.at,
            "data": orjson.Fragment(self.data_json),
            "id": record_id,
            "kind": self.kind,
            "subject": self.subject,
        }
        return hashlib.sha256(prev_hash.encode() + orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def prepare(record: AuditRecord, *, at: str | None = None) -> PreparedRecord:
    """Fix time and data; raises `TypeError` if the data is not JSON with string keys."""
    return PreparedRecord(
        at=at or now_text(),
        kind=record.kind,
        actor=record.actor,
        subject=record.subject,
        data_json=orjson.dumps(dict(record.data), option=orjson.OPT_SORT_KEYS),
    )


def append_in(connection: Connection, records: Sequence[AuditRecord | PreparedRecord]) -> None:
    """Append inside the caller's write transaction, so that a change and its record stand or fall together."""
    if not records:
        return
    head = connection.execute(
        select(audit_head.c.last_id, audit_head.c.last_hash).where(audit_head.c.chain == _CHAIN).with_for_update()
    ).one_or_none()
    if head is None:
        raise StoreCorrupt("The audit chain's head is missing; restore the database from a backup.")
    record_id, last_hash = int(head.last_id), str(head.last_hash)
    rows = []
    for record in records:
        prepared = prepare(record) if isinstance(record, AuditRecord) else record
        record_id += 1
        prev_hash, last_hash = last_hash, prepared.digest(record_id, last_hash)
        rows.append(
            {
                "id": record_id,
                "at": prepared.at,
                "kind": prepared.kind,
                "actor": prepared.actor,
                "subject": prepared.subject,
                "data": prepared.data_json.decode(),
                "prev_hash": prev_hash,
                "hash": last_hash,
            }
        )
    connection.execute(insert(audit_records), rows)
    connection.execute(
        update(audit_head).where(audit_head.c.chain == _CHAIN).values(last_id=record_id, last_hash=last_hash)
    )


class AuditLog:
    """The chain of one registry: append, read in pages, check."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, records: Sequence[AuditRecord | PreparedRecord]) -> None:
        """Append in one transaction; on return the records are on the disk."""
        if records:
            with self._database.write() as connection:
                append_in(connection, records)

    def page(
        self,
        *,
        cursor: str | None = None,
        limit: int = 100,
        kind: str | None = None,
        subject: str | None = None,
    ) -> AuditPage:
        """Records in order, oldest first; raises `InvalidEntry` for a bad cursor or limit."""
        statement = select(audit_records).where(audit_records.c.id > decode_cursor("audit", cursor))
        if kind is not None:
            statement = statement.where(audit_records.c.kind == kind)
        if subject is not None:
            statement = statement.where(audit_records.c.subject == subject)
        statement = statement.order_by(audit_records.c.id).limit(check_limit(limit) + 1)
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        more = len(rows) > limit
        items = tuple(_logged(row) for row in rows[:limit])
        return AuditPage(items=items, next_cursor=encode_cursor("audit", items[-1].id) if more else None)

    def newest(self, kind: str, *, since: str, most: int) -> Iterator[LoggedRecord]:
        """At most `most` records of a kind that happened at `since` (as in `LoggedRecord.at`) or later, newest first.

        Processes write a little late, so the order of ids is not quite the order of times: reading goes on until a whole
        batch is older.
        """
        last_id: int | None = None
        given = 0
        while given < most:
            statement = select(audit_records).where(audit_records.c.kind == kind)
            if last_id is not None:
                statement = statement.where(audit_records.c.id < last_id)
            with self._database.read() as connection:
                rows = connection.execute(statement.order_by(audit_records.c.id.desc()).limit(_READ_ROWS)).all()
            fresh = [row for row in rows if row.at >= since][: most - given]
            yield from map(_logged, fresh)
            given += len(fresh)
            if len(rows) < _READ_ROWS or not fresh:
                return
            last_id = rows[-1].id

    def verify(self) -> ChainReport:
        """Recompute every hash, a few thousand rows at a time, over one state of the database."""
        with self._database.read() as connection:
            head = connection.execute(select(audit_head).where(audit_head.c.chain == _CHAIN)).one_or_none()
            last_id, last_hash, bad = 0, GENESIS, None
            for row in _rows_in_order(connection):
                if row.id != last_id + 1:
                    bad = last_id + 1
                    break
                if row.prev_hash != last_hash or row.hash != _stored(row).digest(row.id, last_hash):
                    bad = row.id
                    break
                last_id, last_hash = row.id, row.hash
        if bad is None and (head is None or head.last_id != last_id or head.last_hash != last_hash):
            bad = last_id + 1
        return ChainReport(ok=bad is None, records=last_id, first_bad_id=bad, head_hash=last_hash)


def _rows_in_order(connection: Connection) -> Iterator[Row[Any]]:
    last_id: int | None = None
    statement = select(audit_records).order_by(audit_records.c.id).limit(_READ_ROWS)
    while True:
        rows = connection.execute(statement if last_id is None else statement.where(audit_records.c.id > last_id)).all()
        yield from rows
        if len(rows) < _READ_ROWS:
            return
        last_id = rows[-1].id


def _stored(row: Row[Any]) -> PreparedRecord:
    # SQLite lets a tamperer put any type into a text column; that must end as a wrong hash, not as a crash.
    return PreparedRecord(
        at=str(row.at),
        kind=str(row.kind),
        actor=str(row.actor),
        subject=str(row.subject),
        data_json=str(row.data).encode(),
    )


def _logged(row: Row[Any]) -> LoggedRecord:
    try:
        data = orjson.loads(row.data)
    except orjson.JSONDecodeError:
        raise StoreCorrupt(f"Audit record {row.id} holds no JSON; verify the chain and restore a backup.") from None
    return LoggedRecord(
        id=row.id,
        at=row.at,
        kind=row.kind,
        actor=row.actor,
        subject=row.subject,
        data=data,
        prev_hash=row.prev_hash,
        hash=row.hash,
    )
