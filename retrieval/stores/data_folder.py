"""The data folder: which files the registry keeps in it, the lock under which they are made, and its naming key."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retrieval.errors import StoreUnavailable

DATABASE_FILE = "registry.db"
SIGNAL_FILE = "registry.seq"
LOCK_FILE = "registry.lock"
NAMING_KEY_FILE = "naming.key"
_KEY_BYTES = 32


@contextmanager
def held(data_dir: Path) -> Iterator[None]:
    """Create the folder for its owner only and hold its lock: two processes must not create one database at once."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(data_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnavailable(
            f"The data folder cannot be used: {error.strerror}; check data_dir and its permissions."
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def naming_key(data_dir: Path) -> bytes:
    """The folder's secret on which invented names hang: made once, under the lock that the caller holds. Without it, or
    with another one, names are invented anew; nothing else changes."""
    path = data_dir / NAMING_KEY_FILE
    try:
        if path.exists() and len(key := path.read_bytes()) == _KEY_BYTES:
            return key
        key = secrets.token_bytes(_KEY_BYTES)
        path.touch(mode=0o600)
        path.write_bytes(key)
    except OSError as error:
        raise StoreUnavailable(
            f"The data folder cannot be used: {error.strerror}; check data_dir and its permissions."
        ) from None
    return key
