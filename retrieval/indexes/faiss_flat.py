"""Exhaustive search in FAISS over float16 rows: exact to rounding, no training, changes are in force at once.

float16 because memory rows are kept so anyway and a search is bound by memory bandwidth: 50,000 rows of 384 took
1.2 ms on one core, 3.0 ms in float32 (2-core CPU). FAISS runs with one thread: requests are parallel already.
It does not know texts or thresholds' meaning. Shapes: Q queries, N rows, D dimensions, K results.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Self

import faiss
import numpy as np
import orjson

from retrieval.indexes.protocol import Found, IndexRows

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FIRST_K = 32
_HEADER_BYTES = 8


class FaissFlatIndex:
    """See the module."""

    def __init__(self, dim: int) -> None:
        faiss.omp_set_num_threads(1)
        quantiser = faiss.ScalarQuantizer.QT_fp16
        self._index: Any = faiss.IndexScalarQuantizer(dim, quantiser, faiss.METRIC_INNER_PRODUCT)
        self._names: list[str] = []  # number -> entry id; numbers are never used again
        self._numbers: dict[str, int] = {}  # entry id -> number, of entries that have rows
        self._kinds: list[str] = []
        self._owner_N: NDArray[np.int32] = np.empty(0, dtype=np.int32)
        self._kind_N: NDArray[np.uint8] = np.empty(0, dtype=np.uint8)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def entry_ids(self) -> frozenset[str]:
        """Entries that have rows."""
        return frozenset(self._numbers)

    def put(self, rows: Sequence[IndexRows]) -> None:
        """See the protocol. Raises `ValueError` if the shapes do not fit."""
        for item in rows:
            if item.vectors.shape != (len(item.kinds), self._index.d):
                raise ValueError(f"vectors are {item.vectors.shape}, not ({len(item.kinds)}, {self._index.d})")
        latest = {item.entry_id: item for item in rows}
        self.remove(latest)
        filled = [item for item in latest.values() if item.kinds]
        if not filled:
            return
        owners: list[NDArray[np.int32]] = [self._owner_N]
        kinds: list[NDArray[np.uint8]] = [self._kind_N]
        for item in filled:
            self._numbers[item.entry_id] = len(self._names)
            owners.append(np.full(len(item.kinds), len(self._names), dtype=np.int32))
            kinds.append(np.array([self._kind_number(kind) for kind in item.kinds], dtype=np.uint8))
            self._names.append(item.entry_id)
        self._owner_N, self._kind_N = np.concatenate(owners), np.concatenate(kinds)
        self._index.add(np.concatenate([item.vectors for item in filled]).astype(np.float32))

    def _kind_number(self, kind: str) -> int:
        if kind not in self._kinds:
            self._kinds.append(kind)
        return self._kinds.index(kind)

    def remove(self, entry_ids: Collection[str]) -> None:
        """See the protocol."""
        gone = [self._numbers.pop(entry_id) for entry_id in entry_ids if entry_id in self._numbers]
        if not gone:
            return
        is_gone_N = np.isin(self._owner_N, np.array(gone, dtype=np.int32))
        rows = np.flatnonzero(is_gone_N).astype(np.int64)
        # FAISS closes the gaps and keeps the order, as the masks do.
        self._index.remove_ids(faiss.IDSelectorBatch(rows))
        self._owner_N, self._kind_N = self._owner_N[~is_gone_N], self._kind_N[~is_gone_N]

    def best(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """See the protocol."""
        if len(self) == 0 or len(queries) == 0:
            return np.full(len(queries), -1.0, dtype=np.float32)
        scores_Q1, _ = self._index.search(queries, 1)
        return np.asarray(scores_Q1[:, 0], dtype=np.float32)

    def above(self, queries: NDArray[np.float32], threshold: float) -> list[list[Found]]:
        """See the protocol."""
        if len(self) == 0 or len(queries) == 0:
            return [[] for _ in queries]
        scores_QK, rows_QK = self._index.search(queries, min(_FIRST_K, len(self)))
        return [
            self._entries(scores_K, rows_K, queries[number : number + 1], threshold)
            for number, (scores_K, rows_K) in enumerate(zip(scores_QK, rows_QK, strict=True))
        ]

    def _entries(
        self,
        scores_K: NDArray[np.float32],
        rows_K: NDArray[np.int64],
        query_1D: NDArray[np.float32],
        threshold: float,
    ) -> list[Found]:
        # One entry's many documents may fill the first K: look further until the threshold has been passed.
        while scores_K[-1] >= threshold and len(scores_K) < len(self):
            scores_1K, rows_1K = self._index.search(query_1D, min(4 * len(scores_K), len(self)))
            scores_K, rows_K = scores_1K[0], rows_1K[0]
        found: dict[int, Found] = {}
        for score, row in zip(scores_K.tolist(), rows_K.tolist(), strict=True):
            if score < threshold:
                break
            number = int(self._owner_N[row])
            if number not in found:
                kind = self._kinds[self._kind_N[row]]
                found[number] = Found(entry_id=self._names[number], kind=kind, score=score)
        return list(found.values())

    def to_bytes(self) -> bytes:
        """See the protocol."""
        names = [self._names[number] for number in self._owner_N.tolist()]
        header = orjson.dumps({"names": names, "kinds": self._kinds, "kind_of": self._kind_N.tolist()})
        vectors: bytes = faiss.serialize_index(self._index).tobytes()
        return len(header).to_bytes(_HEADER_BYTES, "big") + header + vectors

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """What `to_bytes` gave; the caller has checked that it is whole."""
        end = _HEADER_BYTES + int.from_bytes(data[:_HEADER_BYTES], "big")
        header = orjson.loads(data[_HEADER_BYTES:end])
        stored: Any = faiss.deserialize_index(np.frombuffer(data[end:], dtype=np.uint8))
        index = cls(int(stored.d))
        index._index = stored
        index._names = list(dict.fromkeys(header["names"]))
        index._numbers = {name: number for number, name in enumerate(index._names)}
        index._kinds = header["kinds"]
        index._owner_N = np.array([index._numbers[name] for name in header["names"]], dtype=np.int32)
        index._kind_N = np.array(header["kind_of"], dtype=np.uint8)
        return index
