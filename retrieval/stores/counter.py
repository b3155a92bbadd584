"""The registry-wide change counter: one number that grows with every change that a worker must take over.

All functions work inside the caller's transaction. `lock` comes first in every writing transaction: on SQLite the
transaction already excludes other writers, on a server database the row lock does: numbers are given in commit order.
"""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from retrieval.errors import StoreCorrupt
from retrieval.stores.tables import counters

_SEQ = "seq"


def read(connection: Connection) -> int:
    """The number of the last change."""
    value = connection.execute(select(counters.c.value).where(counters.c.name == _SEQ)).scalar_one_or_none()
    if value is None:
        raise StoreCorrupt("The registry's change counter is missing; restore the database from a backup.")
    return int(value)


def lock(connection: Connection) -> int:
    """The number of the last change, held against other writers until the transaction ends."""
    statement = select(counters.c.value).where(counters.c.name == _SEQ).with_for_update()
    value = connection.execute(statement).scalar_one_or_none()
    if value is None:
        raise StoreCorrupt("The registry's change counter is missing; restore the database from a backup.")
    return int(value)


def advance_to(connection: Connection, value: int) -> None:
    """Set the counter; it never goes back."""
    connection.execute(update(counters).where(counters.c.name == _SEQ, counters.c.value < value).values(value=value))
