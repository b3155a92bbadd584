"""Which rows of a large index are worth an exact look: 4-bit product quantisation in FAISS, scanned as a whole.

A code of four dimensions takes half a byte, so a scan of a million rows of 384 reads 48 MB where their float16 rows
would be 768 MB. It only proposes; the caller scores what it proposes. Trained once on rows that are there, on the first
scan; rows that come later are added as they are, rows that go are taken out, and nothing is built anew. It does not know
owners, kinds or thresholds. Source: André et al. 2015, quantisation with fast scan, as in FAISS.
Shapes: Q queries, N rows, D dimensions, K candidates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import faiss
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TRAINING_ROWS = 8_192
_DIMS_A_CODE = 4
_BITS = 4
_STEP_ROWS = 32_768


class CoarseScan:
    """The codes of rows, in the same order as the rows lie. One thread at a time."""

    def __init__(self, dim: int) -> None:
        faiss.omp_set_num_threads(1)
        self._scan: Any = faiss.IndexPQFastScan(dim, dim // _DIMS_A_CODE, _BITS, faiss.METRIC_INNER_PRODUCT)

    @staticmethod
    def fits(dim: int) -> bool:
        """True if rows of this length can be quantised."""
        return dim % _DIMS_A_CODE == 0

    def __len__(self) -> int:
        return int(self._scan.ntotal)

    def catch_up(self, total: int, rows: Callable[[NDArray[np.int64]], NDArray[np.float32]]) -> None:
        """Take the rows from the end of what is known up to `total`; `rows` gives rows by number."""
        if not self._scan.is_trained:
            step = max(1, total // _TRAINING_ROWS)
            self._scan.train(rows(np.arange(0, total, step, dtype=np.int64)[:_TRAINING_ROWS]))
        while (known := len(self)) < total:
            self._scan.add(rows(np.arange(known, min(total, known + _STEP_ROWS), dtype=np.int64)))

    def remove(self, rows: NDArray[np.int64]) -> None:
        """Take rows out; those behind them close the gaps."""
        known = rows[rows < len(self)]
        if len(known):
            self._scan.remove_ids(faiss.IDSelectorBatch(known))

    def propose(self, queries_QD: NDArray[np.float32], count: int) -> NDArray[np.int64]:
        """For each query the rows [Q, K] with the best quantised scores."""
        _, rows_QK = self._scan.search(queries_QD, count)
        return np.asarray(rows_QK, dtype=np.int64)

    def to_bytes(self) -> bytes:
        """Training and codes."""
        stored: bytes = faiss.serialize_index(self._scan).tobytes()
        return stored

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """What `to_bytes` gave."""
        scan: Any = faiss.deserialize_index(np.frombuffer(data, dtype=np.uint8))
        coarse = cls(int(scan.d))
        coarse._scan = scan
        return coarse
