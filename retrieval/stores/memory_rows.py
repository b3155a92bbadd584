"""Embeddings of entries, kept so that a restart or another worker need not compute them again.

Vectors are bytes here: float16, row-major, `len(kinds)` rows of `dim`. Nothing here knows how they were made or what a
kind means; the embedder's fingerprint tells whose they are. All functions work in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import orjson
from sqlalchemy import Connection, delete, insert, select

from retrieval.errors import StoreCorrupt
from retrieval.stores.tables import entry_memory

CORE = "core"
DOCUMENTS = "documents"
PARTS = (CORE, DOCUMENTS)
FLOAT16_BYTES = 2
_IDS_PER_QUERY = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryRows:
    """The embeddings of one part of one entry.

    `part` is "core" (name, aliases, exemplars, questions ...) or "documents"; `kinds` says of each row what it embeds;
    `vectors` are float16, row-major, shape (len(kinds), dim). Raises `ValueError` if these do not fit together.
    """

    part: str
    fingerprint: str
    kinds: tuple[str, ...]
    vectors: bytes = field(repr=False)
    dim: int

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            raise ValueError(f"part is {self.part!r}; it must be one of {', '.join(PARTS)}")
        expected = len(self.kinds) * self.dim * FLOAT16_BYTES
        if self.dim < 1 or len(self.vectors) != expected:
            raise ValueError(
                f"vectors has {len(self.vectors)} bytes; {len(self.kinds)} float16 rows of {self.dim} are {expected}"
            )


def replace(connection: Connection, rows_by_entry: Iterable[tuple[str, MemoryRows]]) -> None:
    """Store parts, in place of the same parts of the same embedder."""
    values = []
    for entry_id, rows in rows_by_entry:
        connection.execute(
            delete(entry_memory).where(
                entry_memory.c.entry_id == entry_id,
                entry_memory.c.part == rows.part,
                entry_memory.c.fingerprint == rows.fingerprint,
            )
        )
        values.append(_values(entry_id, rows))
    if values:
        connection.execute(insert(entry_memory), values)


def add(connection: Connection, rows_by_entry: Sequence[tuple[str, MemoryRows]]) -> None:
    """Store the parts of new entries."""
    if rows_by_entry:
        connection.execute(insert(entry_memory), [_values(entry_id, rows) for entry_id, rows in rows_by_entry])


def drop(connection: Connection, entry_id: str, parts: Sequence[str] = PARTS) -> None:
    """Remove parts of an entry, whichever embedder made them."""
    if parts:
        connection.execute(
            delete(entry_memory).where(entry_memory.c.entry_id == entry_id, entry_memory.c.part.in_(parts))
        )


def load(connection: Connection, entry_ids: Sequence[str], fingerprint: str) -> dict[str, list[MemoryRows]]:
    """The parts that this embedder made, "core" first; every asked id has a list, empty if there are none."""
    found: dict[str, list[MemoryRows]] = {entry_id: [] for entry_id in entry_ids}
    ids = list(found)
    for start in range(0, len(ids), _IDS_PER_QUERY):
        statement = (
            select(entry_memory)
            .where(
                entry_memory.c.entry_id.in_(ids[start : start + _IDS_PER_QUERY]),
                entry_memory.c.fingerprint == fingerprint,
            )
            .order_by(entry_memory.c.entry_id, entry_memory.c.part)
        )
        for row in connection.execute(statement):
            try:
                rows = MemoryRows(
                    part=row.part,
                    fingerprint=row.fingerprint,
                    kinds=tuple(orjson.loads(row.kinds)),
                    vectors=row.vectors,
                    dim=row.dim,
                )
            except ValueError:
                raise StoreCorrupt(f"The stored memory of entry '{row.entry_id}' does not fit together.") from None
            found[row.entry_id].append(rows)
    return found


def has_part(connection: Connection, entry_id: str, part: str, fingerprint: str | None) -> bool:
    """True if a part is stored, made by this embedder (None: by any)."""
    statement = (
        select(entry_memory.c.part).where(entry_memory.c.entry_id == entry_id, entry_memory.c.part == part).limit(1)
    )
    if fingerprint is not None:
        statement = statement.where(entry_memory.c.fingerprint == fingerprint)
    return connection.execute(statement).first() is not None


def _values(entry_id: str, rows: MemoryRows) -> dict[str, object]:
    return {
        "entry_id": entry_id,
        "part": rows.part,
        "fingerprint": rows.fingerprint,
        "dim": rows.dim,
        "kinds": orjson.dumps(rows.kinds).decode(),
        "vectors": rows.vectors,
    }
