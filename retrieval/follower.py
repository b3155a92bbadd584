"""Keeps one process level with the registry: what was acknowledged anywhere is known here before the next decision.

Every request asks `catch_up`. Mostly that is one read of the shared change counter (about 100 ns). When the counter has
moved, the changes are read and applied first, and requests that arrive meanwhile wait for the same reading.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from retrieval.entry import RegisteredEntry
from retrieval.pictures import PictureBook
from retrieval.registry import Change, Registry
from retrieval.scopes import Scopes
from retrieval.searcher import Searcher

PAGE = 1_000


class Follower:
    """The live view of one process. All methods run on the event loop."""

    def __init__(
        self,
        registry: Registry,
        searcher: Searcher,
        *,
        pictures: PictureBook | None = None,
        only_watch: bool = False,
    ) -> None:
        """`pictures` is kept level, too; start it before. `only_watch`: every entry is taken as if it were in shadow."""
        self._registry = registry
        self._searcher = searcher
        self._pictures = pictures
        self._scopes = Scopes()
        self._only_watch = only_watch
        self._watched: dict[str, RegisteredEntry] = {}
        self._reading = asyncio.Lock()
        self._seq = -1  # nothing read yet

    @property
    def seq(self) -> int:
        """The registry's change counter as far as this process has followed."""
        return self._seq

    async def start(self, snapshot_seq: int = 0) -> None:
        """Read every entry; the memory of those that have not changed since the searcher's snapshot is in it already."""
        await self._read(snapshot_seq)

    async def catch_up(self) -> None:
        """Return once every change that was acknowledged before this call is applied. Raises `StoreUnavailable`."""
        if self._registry.signal.read() > self._seq:
            await self._read(0)

    async def _read(self, known_memory: int) -> None:
        async with self._reading:
            if self._registry.signal.read() <= self._seq:
                return  # a reading that this one waited for has brought everything
            while True:
                target, changes = await asyncio.to_thread(self._page, max(self._seq, 0))
                ids = [change.record.id for change in changes if change.seq > known_memory]
                memory = await asyncio.to_thread(self._registry.memory_of, ids, self._searcher.fingerprint)
                self._searcher.apply(changes, memory)
                if self._pictures is not None:
                    self._pictures.take([change.record for change in changes])
                for change in changes:
                    self._scopes.put(change.record)
                    self._watched.pop(change.record.id, None)
                self._seq = changes[-1].seq if len(changes) == PAGE else max(target, *(c.seq for c in changes), 0)
                if len(changes) < PAGE:
                    return

    def _page(self, seq: int) -> tuple[int, list[Change]]:
        # The counter is read first: keys move it too, and a change that comes between the two reads is not skipped.
        target = self._registry.seq()
        return target, self._registry.changes_since(seq, limit=PAGE)

    def covers(self, *, tenant: str, model: str | None) -> bool:
        """True if anything is to be forgotten for this tenant and model now."""
        return self._scopes.covers(tenant=tenant, model=model, now=datetime.now(UTC))

    def acts(self, *, tenant: str, model: str | None) -> bool:
        """The same without entries in shadow, which are decided and recorded but never acted on."""
        if self._only_watch:
            return False
        return self._scopes.covers(tenant=tenant, model=model, now=datetime.now(UTC), acting=True)

    def admitted(self, entry_id: str, *, tenant: str, model: str | None, now: datetime) -> RegisteredEntry | None:
        """The entry, if it covers this tenant and model and is in force at `now`."""
        record = self._searcher.entries.get(entry_id)
        if record is None or not record.is_enforced(now):
            return None
        if not record.entry.scope.admits(tenant=tenant, model=model):
            return None
        return self._in_shadow(record) if self._only_watch else record

    def _in_shadow(self, record: RegisteredEntry) -> RegisteredEntry:
        """The record with its entry in shadow, made once a change."""
        known = self._watched.get(record.id)
        if known is None:
            entry = record.entry.model_copy(update={"shadow": True})
            known = self._watched[record.id] = record.model_copy(update={"entry": entry})
        return known
