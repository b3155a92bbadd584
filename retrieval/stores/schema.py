"""Bring a database to this version's tables, or refuse it.

The migration scripts lie beside this file and travel in the wheel; there is no alembic.ini. Alembic is only loaded when
there is something to do, because every command opens the registry.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from retrieval.errors import StoreCorrupt, StoreUnavailable
from retrieval.stores.database import Database

HEAD = "0003"
"""The newest migration; a test compares it with the scripts."""

KNOWN = frozenset({"0001", "0002", HEAD})
"""Every migration that this version can start from."""

MIGRATIONS = Path(__file__).parent / "migrations"


def current_version(connection: Connection) -> str | None:
    """The migration that the database stands at, None for an empty one."""
    names = set(inspect(connection).get_table_names())
    if "alembic_version" not in names:
        if names:
            raise StoreCorrupt("The file is a database, but not a registry; point data_dir to another folder.")
        return None
    row = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return None if row is None else str(row)


def migrate(database: Database) -> None:
    """Create or upgrade the tables in one transaction.

    Raises `StoreUnavailable` if a newer version of Expunge wrote the database, `StoreCorrupt` if it is none of ours.
    """
    with database.read() as connection:
        if _checked_version(connection) == HEAD:
            return
    with database.write() as connection:
        # Another process may have migrated while this one waited for the lock.
        if _checked_version(connection) != HEAD:
            _upgrade(connection)


def check(database: Database) -> str:
    """The schema of a database that this version can use; raises as `migrate`, and `StoreCorrupt` for an empty one."""
    with database.read() as connection:
        version = _checked_version(connection)
    if version is None:
        raise StoreCorrupt("The database is empty; it is no registry.")
    return version


def _checked_version(connection: Connection) -> str | None:
    version = current_version(connection)
    if version is not None and version not in KNOWN:
        raise StoreUnavailable(
            f"The registry was written by a newer Expunge (its schema is {version}, this version knows up to {HEAD}); "
            "install that version, or restore a backup of this one."
        )
    return version


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
