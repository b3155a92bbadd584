"""Nearness by meaning: a first tier that settles most texts, the encoder for the rest, and their indexes.

    texts -> known by hash? -> first tier near anything? -> encoder -> index -> nearer to a neighbour? -> entries

Safe because generous: the first tier only says "certainly not near"; what it passes is decided by the encoder. Core
and documents are searched apart: a sentence of a page is near to much that is not about the entry, so its cosine counts
`DOCUMENT_MARGIN` less, and then one threshold fits both. It does not know phrases, requests or policies.
Shapes: N rows, D dimensions (the encoder's, then the first tier's).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from retrieval.embedders.protocol import Embedder, Vectors
    from retrieval.indexes.faiss_fast_scan import FaissFastScanIndex
    from retrieval.indexes.faiss_flat import FaissFlatIndex
    from retrieval.registry import MemoryRows
    from retrieval.settings import RetrievalSettings

DOCUMENT_MARGIN = 0.24
"""What a cosine to a document counts less; chosen by `benchmarks/tune_thresholds.py`."""

_NEIGHBOR = "neighbor"
_DOCUMENT = "document"


@dataclass(frozen=True, kw_only=True, slots=True)
class Near:
    """An entry that a text touches, what kind of memory it is near to, and the cosine, less the documents' margin."""

    entry_id: str
    score: float
    kind: str


@dataclass(kw_only=True, slots=True)
class _Part:
    """The indexes of core or documents."""

    margin: float
    encoded: FaissFlatIndex
    static: FaissFastScanIndex | None


class MeaningIndex:
    """Owned by one event loop; searches run in a thread and share a lock with changes."""

    def __init__(self, settings: RetrievalSettings, embedder: Embedder, first_tier: Embedder | None) -> None:
        from retrieval.embedders.batcher import EmbedBatcher, LruCache
        from retrieval.indexes import GATES, INDEXES

        self._threshold = settings.semantic_threshold
        self._first_threshold = settings.first_tier_threshold
        self._first_tier = first_tier
        self._dims = embedder.dim, first_tier.dim if first_tier is not None else 0
        self._index_class = INDEXES["faiss-flat"]()
        self._gate_class = GATES["faiss-fast-scan"]()
        self._parts = {
            name: _Part(
                margin=margin,
                encoded=self._index_class(embedder.dim),
                static=self._gate_class(first_tier.dim) if first_tier is not None else None,
            )
            for name, margin in (("core", 0.0), ("documents", DOCUMENT_MARGIN))
        }
        self._neighbors: dict[str, Vectors] = {}
        self._verdicts: LruCache[tuple[Near, ...]] = LruCache(settings.embed_cache_entries)
        self._lock = threading.Lock()
        self._generation = 0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="meaning")
        self.batcher = EmbedBatcher(embedder, batch=settings.embed_batch, cache_entries=settings.embed_cache_entries)
        self.settled = 0
        self._verdict_hits = 0

    def __len__(self) -> int:
        return sum(len(part.encoded) for part in self._parts.values())

    @property
    def cache_hits(self) -> int:
        """Texts whose verdict or vector was known."""
        return self._verdict_hits + self.batcher.hits

    async def nearest(self, texts: Sequence[str]) -> list[list[Near]]:
        """See `Searcher.nearest`. The same text is looked at once, and not again until an entry changes."""
        from retrieval.embedders.batcher import text_key

        if len(self) == 0:
            return [[] for _ in texts]
        generation = self._generation
        keys = [text_key(text) for text in texts]
        known: dict[bytes, tuple[Near, ...]] = {}
        fresh: dict[bytes, str] = {}
        for key, text in zip(keys, texts, strict=True):
            verdict = self._verdicts.get(key)
            if verdict is None:
                fresh[key] = text
            else:
                known[key] = verdict
                self._verdict_hits += 1
        if fresh:
            for key, verdict in (await self._decide(fresh)).items():
                known[key] = verdict
                if generation == self._generation:
                    self._verdicts.put(key, verdict)
        return [list(known[key]) for key in keys]

    async def _decide(self, fresh: Mapping[bytes, str]) -> dict[bytes, tuple[Near, ...]]:
        loop = asyncio.get_running_loop()
        keys = list(fresh)
        if self._first_tier is not None:
            passed = await loop.run_in_executor(self._thread, self._first, self._first_tier, list(fresh.values()))
            keys = [key for key, is_near in zip(fresh, passed, strict=True) if is_near]
            self.settled += len(fresh) - len(keys)
        verdicts: dict[bytes, tuple[Near, ...]] = dict.fromkeys(fresh, ())
        if keys:
            vectors = await self.batcher.embed([fresh[key] for key in keys])
            found = await loop.run_in_executor(self._thread, self._second, vectors)
            verdicts.update(zip(keys, found, strict=True))
        return verdicts

    def _first(self, first_tier: Embedder, texts: Sequence[str]) -> list[bool]:
        """In the thread: may the text be near anything?"""
        vectors = first_tier.embed(texts)
        passed = [False] * len(texts)
        with self._lock:
            for part in self._parts.values():
                scores = part.static.best(vectors).tolist() if part.static is not None else []
                for number, score in enumerate(scores):
                    passed[number] |= score - part.margin >= self._first_threshold
        return passed

    def _second(self, vectors: Vectors) -> list[tuple[Near, ...]]:
        """In the thread: the entries at or above the threshold whose own neighbours are not nearer."""
        best: list[dict[str, Near]] = [{} for _ in vectors]
        with self._lock:
            for part in self._parts.values():
                for known, items in zip(best, part.encoded.above(vectors, self._threshold + part.margin), strict=True):
                    for item in items:
                        near = Near(entry_id=item.entry_id, score=item.score - part.margin, kind=item.kind)
                        if near.entry_id not in known or known[near.entry_id].score < near.score:
                            known[near.entry_id] = near
            return [
                tuple(
                    near
                    for near in sorted(known.values(), key=lambda near: -near.score)
                    if self._neighbor_score(near.entry_id, vector) <= near.score
                )
                for vector, known in zip(vectors, best, strict=True)
            ]

    def _neighbor_score(self, entry_id: str, vector: NDArray[np.float32]) -> float:
        rows = self._neighbors.get(entry_id)
        return -1.0 if rows is None else float((rows @ vector).max())

    def replace(self, memory: Mapping[str, Sequence[MemoryRows]], gone: Collection[str]) -> None:
        """Rows in place of those that these entries had; entries in `gone` lose theirs."""
        if not memory and not gone:
            return
        unpacked = {entry_id: self._unpack(parts) for entry_id, parts in memory.items()}
        with self._lock:
            self._generation += 1
            self._verdicts.clear()
            for name, part in self._parts.items():
                self._replace_part(part, name == "documents", unpacked, gone)
            for entry_id in (*memory, *gone):
                self._neighbors.pop(entry_id, None)
            for entry_id, (kinds, vectors_ND) in unpacked.items():
                places = [place for place, kind in enumerate(kinds) if kind == _NEIGHBOR]
                if places:
                    self._neighbors[entry_id] = vectors_ND[places, : self._dims[0]]

    def _replace_part(
        self,
        part: _Part,
        is_documents: bool,
        unpacked: Mapping[str, tuple[list[str], Vectors]],
        gone: Collection[str],
    ) -> None:
        from retrieval.indexes.protocol import IndexRows

        encoded: list[IndexRows] = []
        static: list[IndexRows] = []
        for entry_id, (kinds, vectors_ND) in unpacked.items():
            places = [
                place for place, kind in enumerate(kinds) if kind != _NEIGHBOR and (kind == _DOCUMENT) is is_documents
            ]
            own, split = tuple(kinds[place] for place in places), self._dims[0]
            encoded.append(IndexRows(entry_id=entry_id, kinds=own, vectors=vectors_ND[places, :split]))
            static.append(IndexRows(entry_id=entry_id, kinds=own, vectors=vectors_ND[places, split:]))
        part.encoded.remove(gone)
        part.encoded.put(encoded)
        if part.static is not None:
            part.static.remove(gone)
            part.static.put(static)

    def _unpack(self, parts: Sequence[MemoryRows]) -> tuple[list[str], Vectors]:
        import numpy as np

        kinds = [kind for part in parts for kind in part.kinds]
        flat = np.frombuffer(b"".join(part.vectors for part in parts), dtype=np.float16)
        return kinds, flat.reshape(len(kinds), sum(self._dims)).astype(np.float32)

    def save(self, path: Path, *, fingerprint: str, seq: int) -> None:
        """Write a snapshot; raises `OSError`."""
        import numpy as np
        import orjson

        from retrieval.indexes.snapshot import Snapshot, write_snapshot

        blobs: dict[str, bytes] = {}
        with self._lock:
            for name, part in self._parts.items():
                blobs[f"{name}_encoded"] = part.encoded.to_bytes()
                blobs[f"{name}_static"] = part.static.to_bytes() if part.static is not None else b""
            blobs["neighbor_owners"] = orjson.dumps({owner: len(rows) for owner, rows in self._neighbors.items()})
            blobs["neighbors"] = b"".join(rows.astype(np.float16).tobytes() for rows in self._neighbors.values())
        write_snapshot(path, Snapshot(seq=seq, blobs=blobs), fingerprint=fingerprint)

    def load(self, path: Path, *, fingerprint: str, registry_seq: int) -> int | None:
        """Take a snapshot's rows; returns its seq, or None if there is none that fits."""
        import numpy as np
        import orjson

        from retrieval.indexes.snapshot import read_snapshot

        snapshot = read_snapshot(path, fingerprint=fingerprint, registry_seq=registry_seq)
        if snapshot is None:
            return None
        rows = np.frombuffer(snapshot.blobs["neighbors"], dtype=np.float16).reshape(-1, self._dims[0])
        owners = orjson.loads(snapshot.blobs["neighbor_owners"])
        with self._lock:
            for name, part in self._parts.items():
                part.encoded = self._index_class.from_bytes(snapshot.blobs[f"{name}_encoded"])
                if part.static is not None:
                    part.static = self._gate_class.from_bytes(snapshot.blobs[f"{name}_static"])
            at = 0
            for entry_id, count in owners.items():
                self._neighbors[entry_id] = rows[at : at + count].astype(np.float32)
                at += count
        return snapshot.seq

    async def aclose(self) -> None:
        """End the threads."""
        await self.batcher.aclose()
        self._thread.shutdown(wait=False, cancel_futures=True)
