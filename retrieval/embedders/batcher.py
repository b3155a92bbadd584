"""The asynchronous front of an embedder: one worker thread, batches shared by concurrent requests, a cache by hash.

The event loop only hashes and waits. It does not know entries; it keeps hashes and vectors, never texts.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict, deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

if TYPE_CHECKING:
    from retrieval.embedders.protocol import Embedder, Vectors

Value = TypeVar("Value")


def text_key(text: str) -> bytes:
    """What a text is remembered by. Lone surrogates are legal in a Python string and must not fail here."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class LruCache(Generic[Value]):
    """The `limit` most recently used values; a limit of 0 keeps nothing. Owned by one thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[bytes, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: bytes) -> Value | None:
        """The value, or None; it counts as used."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: bytes, value: Value) -> None:
        """Keep a value; the longest unused one may go."""
        if self._limit == 0:
            return
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._limit:
            self._values.popitem(last=False)

    def clear(self) -> None:
        """Forget all."""
        self._values.clear()


@dataclass(frozen=True, slots=True)
class _Job:
    key: bytes
    text: str
    row: asyncio.Future[Vectors]


class EmbedBatcher:
    """Owned by one event loop. `hits` and `encoded` count texts found in the cache and texts sent to the embedder."""

    def __init__(self, embedder: Embedder, *, batch: int, cache_entries: int) -> None:
        self._embedder = embedder
        self._batch = batch
        self._cache: LruCache[Vectors] = LruCache(cache_entries)
        self._jobs: deque[_Job] = deque()
        self._waiting: dict[bytes, asyncio.Future[Vectors]] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedder")
        self._drain: asyncio.Task[None] | None = None
        self.hits = 0
        self.encoded = 0

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit rows of the texts; raises what the embedder raises. Cancelling one caller harms no other."""
        rows: dict[bytes, Vectors] = {}
        futures: dict[bytes, asyncio.Future[Vectors]] = {}
        keys = [text_key(text) for text in texts]
        for key, text in zip(keys, texts, strict=True):
            cached = self._cache.get(key)
            if cached is not None:
                rows[key] = cached
                self.hits += 1
            elif key not in futures:
                futures[key] = self._enqueue(key, text)
        if futures:
            # `wait` leaves the futures alone when this caller is cancelled: others may wait for the same texts.
            await asyncio.wait(futures.values())
            rows.update({key: future.result() for key, future in futures.items()})
        if not keys:
            return np.empty((0, self._embedder.dim), dtype=np.float32)
        return np.stack([rows[key] for key in keys])

    def _enqueue(self, key: bytes, text: str) -> asyncio.Future[Vectors]:
        known = self._waiting.get(key)
        if known is not None:
            return known
        row: asyncio.Future[Vectors] = asyncio.get_running_loop().create_future()
        self._waiting[key] = row
        self._jobs.append(_Job(key, text, row))
        if self._drain is None or self._drain.done():
            self._drain = asyncio.create_task(self._work())
        return row

    async def _work(self) -> None:
        """Send what waits, a batch at a time; all that arrives during a run makes the next batch."""
        loop = asyncio.get_running_loop()
        while self._jobs:
            jobs = [self._jobs.popleft() for _ in range(min(self._batch, len(self._jobs)))]
            run = loop.run_in_executor(self._thread, self._embedder.embed, [job.text for job in jobs])
            await asyncio.wait([run])
            error = run.exception()
            for number, job in enumerate(jobs):
                del self._waiting[job.key]
                if error is not None:
                    job.row.set_exception(error)
                    job.row.exception()  # counts as seen, should every caller have gone
                    continue
                row = run.result()[number].copy()
                self._cache.put(job.key, row)
                job.row.set_result(row)
            self.encoded += len(jobs) if error is None else 0

    async def aclose(self) -> None:
        """End the worker; callers that still wait are cancelled."""
        if self._drain is not None:
            self._drain.cancel()
            await asyncio.wait([self._drain])
        for job in self._jobs:
            job.row.cancel()
        for row in self._waiting.values():
            row.cancel()
        self._jobs.clear()
        self._waiting.clear()
        self._thread.shutdown(wait=False, cancel_futures=True)
