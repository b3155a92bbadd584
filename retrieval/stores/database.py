"""The database behind the registry: one engine, reading and writing transactions, plain errors.

It knows no table. The engine is made from a URL; what SQLite needs (WAL, full sync, immediate write transactions) hangs
on its dialect, so that a server database can take its place. A write that has returned is on the disk: WAL with
synchronous=FULL syncs at every commit, so a killed process or a lost power supply loses nothing that was acknowledged.

Everything is synchronous and may be called from any thread. Open one `Database` per process, after forking.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, create_engine, event, exc

from retrieval.errors import RetrievalError, StoreCorrupt, StoreUnavailable

BUSY_TIMEOUT_S = 10.0
"""How long a writer waits for the others before `StoreUnavailable`."""

_CORRUPT_WORDS = ("malformed", "not a database", "no such table", "no such column", "disk image")


class Database:
    """Connections and transactions of one registry database."""

    def __init__(self, url: URL, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        # Parameters hold entry text and key hashes: they must not appear in error messages or logs.
        self._engine = create_engine(url, hide_parameters=True, pool_size=8, max_overflow=32)
        self._busy_timeout_s = busy_timeout_s
        self._write_lock = threading.Lock()
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", self._prepare_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
        self._writing = self._engine.execution_options(expunge_writes=True)

    @classmethod
    def sqlite(cls, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Database:
        """The database in a file, created readable by its owner only."""
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise StoreUnavailable(
                f"The registry's database {path.name} cannot be opened: {error.strerror}; check the data folder."
            ) from None
        return cls(URL.create("sqlite", database=str(path)), busy_timeout_s=busy_timeout_s)

    def _prepare_sqlite(self, connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin where `_begin_sqlite` says, not where sqlite3 guesses
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {int(self._busy_timeout_s * 1000)}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database throughout."""
        with _plain_errors(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is alone in writing; committed and on the disk when it ends without an error."""
        # Threads queue here, because SQLite's own wait is a poll with growing sleeps.
        if not self._write_lock.acquire(timeout=self._busy_timeout_s):
            raise StoreUnavailable("The registry's database is busy; try again.")
        try:
            with _plain_errors(), self._writing.connect() as connection, connection.begin():
                yield connection
        finally:
            self._write_lock.release()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def _begin_sqlite(connection: Connection) -> None:
    # A write transaction takes the lock at once: one that upgrades later would fail instead of waiting.
    writes = connection.get_execution_options().get("expunge_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Turn driver errors into the package's own; their parameters stay out of the message."""
    try:
        yield
    except RetrievalError:
        raise
    except exc.IntegrityError as error:
        raise StoreCorrupt(f"The registry's tables do not fit together: {error.orig}.") from None
    except exc.DBAPIError as error:
        reason = str(error.orig)
        if any(word in reason for word in _CORRUPT_WORDS):
            raise StoreCorrupt(f"The registry's database is damaged ({reason}); restore it from a backup.") from None
        raise StoreUnavailable(f"The registry's database does not answer: {reason}.") from None
    except exc.TimeoutError:
        raise StoreUnavailable("Too many calls use the registry's database at once; try again.") from None
