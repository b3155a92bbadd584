"""The lock that a serving proxy holds on its data folder, so that offline commands do not work under its feet.

An advisory lock on `<data_dir>/serving.lock`. The system frees it when the process ends, however it ends, so there is
nothing to clean up after a crash. It may be taken again within one process. It says nothing about who holds it.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from guardrail.errors import ConfigError, GuardrailError

LOCK_FILE: Final = "serving.lock"

_held: dict[Path, int] = {}
_guard = threading.Lock()


class DataFolderInUse(GuardrailError):
    """Another process serves from this data folder."""


def is_served(data_dir: Path) -> bool:
    """True while some process holds the folder; creates nothing."""
    try:
        descriptor = os.open(data_dir / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def serving_lock(data_dir: Path) -> Iterator[None]:
    """Hold the folder. Raises `DataFolderInUse` if another process does, `ConfigError` if it cannot be written."""
    path = data_dir.resolve() / LOCK_FILE
    with _guard:
        if path not in _held:
            _open(path)
        _held[path] += 1
    try:
        yield
    finally:
        with _guard:
            _held[path] -= 1
            if _held[path] == 0:
                del _held[path]
                os.close(_descriptors.pop(path))


_descriptors: dict[Path, int] = {}


def _open(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"retrieval.data_dir: {path.parent} cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DataFolderInUse(
            f"A proxy is using {path.parent}. Talk to it through its admin listener (without --offline), or stop it."
        ) from None
    _descriptors[path] = descriptor
    _held[path] = 0
