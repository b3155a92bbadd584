"""JSON by name: what there is only one of, such as the schedule. All functions work inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, delete, insert, select

from retrieval.stores.tables import consolidation_settings as rows
from retrieval.stores.timestamps import now_text


def read(connection: Connection, name: str) -> Any | None:
    """The content; None where there is none."""
    body = connection.execute(select(rows.c.body).where(rows.c.name == name)).scalar_one_or_none()
    return None if body is None else orjson.loads(body)


def read_all(connection: Connection, prefix: str) -> Iterator[tuple[str, Any]]:
    """Every name that begins so, without its beginning, in order."""
    statement = select(rows.c.name, rows.c.body).where(rows.c.name.startswith(prefix, autoescape=True))
    for row in connection.execute(statement.order_by(rows.c.name)):
        yield row.name.removeprefix(prefix), orjson.loads(row.body)


def write(connection: Connection, name: str, content: Mapping[str, Any]) -> None:
    """In the place of what was there."""
    connection.execute(delete(rows).where(rows.c.name == name))
    body = orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()
    connection.execute(insert(rows).values(name=name, body=body, changed_at=now_text()))


def drop(connection: Connection, name: str) -> None:
    """One that is not there is no error."""
    connection.execute(delete(rows).where(rows.c.name == name))
