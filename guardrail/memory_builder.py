"""Builds the memory that may follow after the 201: the embeddings of long documents, and all embeddings of entries that
were registered under another embedder.

One entry at a time in the background; what is not finished when the process ends is found again at the next start.
"""

from __future__ import annotations

import asyncio
import logging

from retrieval.entry import RegisteredEntry
from retrieval.errors import RetrievalError
from retrieval.registry import Registry
from retrieval.searcher import Searcher
from retrieval.stores.memory_rows import CORE, DOCUMENTS

_log = logging.getLogger("expunge")
_PAGE = 500


class MemoryBuilder:
    """A queue of entries and one task that works it off."""

    def __init__(self, registry: Registry, searcher: Searcher) -> None:
        self._registry = registry
        self._searcher = searcher
        self._queue: asyncio.Queue[RegisteredEntry] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._busy = 0

    @property
    def waiting(self) -> int:
        """Entries whose memory is being built."""
        return self._queue.qsize() + self._busy

    async def start(self) -> None:
        """Bring every entry's core memory level with this embedder, and queue documents that are not done."""
        if not self._searcher.fingerprint:
            return
        cursor: str | None = None
        while True:
            page = await asyncio.to_thread(self._registry.list, limit=_PAGE, cursor=cursor)
            await self._catch_up([record for record in page.items if record.revoked_at is None])
            cursor = page.next_cursor
            if cursor is None:
                break
        self._task = asyncio.create_task(self._work())

    async def _catch_up(self, records: list[RegisteredEntry]) -> None:
        fingerprint = self._searcher.fingerprint
        known = await asyncio.to_thread(self._registry.memory_of, [record.id for record in records], fingerprint)
        for record in records:
            parts = {rows.part for rows in known[record.id]}
            if CORE not in parts:
                for made in await asyncio.to_thread(self._searcher.embed_memory, record.entry, record.edits):
                    await asyncio.to_thread(self._registry.put_memory, record.id, record.revision, made)
            if record.has_document_texts and DOCUMENTS not in parts:
                self._queue.put_nowait(record)

    def schedule(self, record: RegisteredEntry) -> None:
        """Queue an entry's documents; returns at once."""
        if self._searcher.fingerprint and record.has_document_texts:
            self._queue.put_nowait(record)

    async def _work(self) -> None:
        while True:
            record = await self._queue.get()
            self._busy = 1
            try:
                made = await asyncio.to_thread(self._searcher.embed_documents, record.entry, record.edits)
                if made is not None:
                    await asyncio.to_thread(self._registry.put_memory, record.id, record.revision, made)
            except (RetrievalError, ValueError, RuntimeError, OSError) as error:
                # One entry that cannot be embedded must not keep the others waiting; its kind is enough to find it.
                _log.error("memory of entry %s was not built: %s", record.id, type(error).__name__)
            finally:
                self._busy = 0

    async def stop(self) -> None:
        """Stop working; what is left is found at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
