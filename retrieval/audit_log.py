"""The audit log: what was changed and decided, in one hash chain, without making a request wait for the disk.

Registry changes append their record in their own transaction. Everything else (decisions, leaks) goes through an
`AuditWriter`: a bounded queue in memory and one thread that appends in batches. What is added reaches the disk within
about 100 ms; a process killed in between loses that last tenth of a second of decisions, never a registry change.
Nothing here knows HTTP or what a decision is; data must hold no entry text.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

from retrieval.errors import RetrievalError
from retrieval.stores.audit_chain import (
    AuditLog,
    AuditPage,
    AuditRecord,
    ChainReport,
    LoggedRecord,
    PreparedRecord,
    prepare,
)

__all__ = [
    "AuditLog",
    "AuditPage",
    "AuditRecord",
    "AuditWriter",
    "ChainReport",
    "LoggedRecord",
    "WriterStats",
]

BATCH_RECORDS = 500
BATCH_WAIT_S = 0.1
RETRY_FIRST_S = 0.1
RETRY_LONGEST_S = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class WriterStats:
    """How the writer stands. `last_error` is None while appending works."""

    queued: int
    written: int
    dropped: int
    last_error: str | None


class AuditWriter:
    """A queue in front of the chain. `add` never waits for the disk.

    When the database cannot take records for so long that the queue is full, the oldest are given up, counted in
    `dropped`, and told in the chain by one "audit.gap" record with their number as soon as it can be written again.
    """

    def __init__(self, log: AuditLog, *, capacity: int = 20_000) -> None:
        if capacity < 1:
            raise ValueError(f"capacity is {capacity}; it must be at least 1")
        self._log = log
        self._capacity = capacity
        self._queue: deque[PreparedRecord] = deque()
        self._changed = threading.Condition()
        self._in_hand = 0  # records of the batch that is being written
        self._dropped = 0
        self._untold = 0  # dropped, but not yet in a gap record
        self._written = 0
        self._flush_now = False
        self._closing = False
        self._abandoned = False
        self._last_error: str | None = None
        self._thread = threading.Thread(target=self._run, name="audit-writer", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Records given up since the start."""
        return self._dropped

    def stats(self) -> WriterStats:
        """The counters of this moment."""
        with self._changed:
            return WriterStats(
                queued=len(self._queue) + self._in_hand,
                written=self._written,
                dropped=self._dropped,
                last_error=self._last_error,
            )

    def add(self, record: AuditRecord) -> None:
        """Queue a record; it carries the time of this call.

        Raises `TypeError` if its data is not JSON (better here than in the thread), `RuntimeError` after `close`.
        """
        prepared = prepare(record)
        with self._changed:
            if self._closing:
                raise RuntimeError("the audit writer is closed")
            self._queue.append(prepared)
            if len(self._queue) > self._capacity:
                self._queue.popleft()
                self._dropped += 1
                self._untold += 1
            # The thread sleeps in two ways only: for a first record, or for a full batch.
            if len(self._queue) in (1, BATCH_RECORDS):
                self._changed.notify_all()

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until everything added so far is on the disk; False if that took too long."""
        with self._changed:
            self._flush_now = True
            self._changed.notify_all()
            return self._changed.wait_for(self._is_idle, timeout_s)

    def close(self, timeout_s: float = 10.0) -> int:
        """Write what is queued and end the thread; returns how many records could not be written in time."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            self._changed.wait_for(self._is_idle, timeout_s)
            left = len(self._queue) + self._in_hand
            self._abandoned = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return left

    def _is_idle(self) -> bool:
        return not self._queue and not self._in_hand and not self._untold

    def _run(self) -> None:
        while (batch := self._next_batch()) is not None:
            self._append(batch)

    def _next_batch(self) -> list[PreparedRecord] | None:
        """The next records to write, or None when closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            if not self._closing:
                self._changed.wait_for(
                    lambda: len(self._queue) >= BATCH_RECORDS or self._flush_now or self._closing, BATCH_WAIT_S
                )
            if self._abandoned or not self._queue:
                return None
            batch = [self._queue.popleft() for _ in range(min(BATCH_RECORDS, len(self._queue)))]
            self._in_hand = len(batch)
            return batch

    def _append(self, batch: list[PreparedRecord]) -> None:
        """Write one batch, and the gap before it, trying again until it works or the writer is abandoned."""
        wait_s = RETRY_FIRST_S
        while True:
            with self._changed:
                gap = self._untold
            records = [_gap(gap), *batch] if gap else batch
            try:
                self._log.append(records)
            except RetrievalError as error:
                deadline = time.monotonic() + wait_s
                with self._changed:
                    self._last_error = str(error)
                    self._changed.wait_for(lambda: self._abandoned, max(0.0, deadline - time.monotonic()))
                    if self._abandoned:
                        return
                wait_s = min(2 * wait_s, RETRY_LONGEST_S)
                continue
            with self._changed:
                self._untold -= gap
                self._written += len(batch)
                self._in_hand = 0
                self._last_error = None
                if not self._queue:
                    self._flush_now = False
                self._changed.notify_all()
            return


def _gap(dropped: int) -> PreparedRecord:
    return prepare(AuditRecord(kind="audit.gap", actor="system", subject="audit", data={"dropped": dropped}))
