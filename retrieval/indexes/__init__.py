"""Vectors of entries searched by nearness: one file an index, and the table of their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrieval.indexes.faiss_fast_scan import FaissFastScanIndex
    from retrieval.indexes.faiss_flat import FaissFlatIndex


def _faiss_flat() -> type[FaissFlatIndex]:
    from retrieval.indexes.faiss_flat import FaissFlatIndex

    return FaissFlatIndex


def _faiss_fast_scan() -> type[FaissFastScanIndex]:
    from retrieval.indexes.faiss_fast_scan import FaissFastScanIndex

    return FaissFastScanIndex


INDEXES: Mapping[str, Callable[[], type[FaissFlatIndex]]] = {"faiss-flat": _faiss_flat}
"""Name -> loader of an index that finds entries; FAISS is imported when the loader is called."""

GATES: Mapping[str, Callable[[], type[FaissFastScanIndex]]] = {"faiss-fast-scan": _faiss_fast_scan}
"""Name -> loader of an index that only tells how near the nearest row is (`best`)."""
