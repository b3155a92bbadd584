"""RevisionSignal: tells every process of a machine, at the cost of a memory read, that the registry has changed.

A file of 8 bytes in the data folder is mapped into every process. Whoever commits a change publishes its number;
whoever serves a request compares the number with the one it has taken over, and catches up from the database if it is
behind. That is how an entry is enforced on every worker for each request after its 201. The signal holds no data, only
a number, and knows neither the database nor what the number counts.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retrieval.errors import StoreCorrupt, StoreUnavailable

SIZE_BYTES = 8
HIGHEST = 2**62
"""A larger number is not a count of changes but a damaged file."""

# POSIX record locks exclude processes but not the threads and signals of one process.
_PROCESS_LOCK = threading.Lock()


class RevisionSignal:
    """A number shared by the processes of one machine; it only grows."""

    def __init__(self, path: Path) -> None:
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with self._locked():
                if os.fstat(self._fd).st_size < SIZE_BYTES:
                    os.ftruncate(self._fd, SIZE_BYTES)
            self._map = mmap.mmap(self._fd, SIZE_BYTES)
        except OSError as error:
            raise StoreUnavailable(
                f"The change signal {path.name} cannot be opened: {error.strerror}; check the data folder."
            ) from None
        # A native cast copies the eight aligned bytes in one move; a standard-size struct format ("<Q") would read them
        # one by one and could see half of another process's write.
        self._value = memoryview(self._map).cast("Q")
        if self.read() > HIGHEST:
            self.close()
            raise StoreCorrupt(f"The change signal {path.name} is damaged; stop all processes, delete it, start again.")

    def read(self) -> int:
        """The number of the last published change."""
        return self._value[0]

    def publish(self, seq: int) -> None:
        """Raise the number to `seq`; a lower one changes nothing."""
        with self._locked():
            self._value[0] = max(self._value[0], seq)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with _PROCESS_LOCK:
            fcntl.lockf(self._fd, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Unmap the file; the number stays in it."""
        with _PROCESS_LOCK:
            if self._map.closed:
                return
            self._value.release()
            self._map.close()
            os.close(self._fd)
