"""Vectors of entries searched by nearness: one file an index, and the table of their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrieval.indexes.faiss_flat import FaissFlatIndex


def _faiss_flat() -> type[FaissFlatIndex]:
    from retrieval.indexes.faiss_flat import FaissFlatIndex

    return FaissFlatIndex


INDEXES: Mapping[str, Callable[[], type[FaissFlatIndex]]] = {"faiss-flat": _faiss_flat}
"""Name -> loader of the class; FAISS is imported when the loader is called."""
