"""The gate index: how near is the nearest row, fast and as good as exhaustive search where it matters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.indexes.faiss_fast_scan import EXHAUSTIVE_ROWS, FaissFastScanIndex
from retrieval.indexes.protocol import IndexRows

DIM = 64


def unit(rows: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def entries(count: int, *, seed: int, rows: int = 3) -> list[IndexRows]:
    """Entries around common centres, as texts of one kind are."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(40, DIM))
    return [
        IndexRows(
            entry_id=f"{seed}-{number}",
            kinds=("core",) * rows,
            vectors=unit((centres[rng.integers(40, size=rows)] + rng.normal(size=(rows, DIM))).astype(np.float32)),
        )
        for number in range(count)
    ]


def exact(items: list[IndexRows], queries: NDArray[np.float32]) -> NDArray[np.float32]:
    rows = np.concatenate([item.vectors for item in items])
    return np.asarray((queries @ rows.T).max(axis=1), dtype=np.float32)


@pytest.mark.parametrize("count", [200, EXHAUSTIVE_ROWS])
def test_the_nearest_score_is_that_of_an_exhaustive_search(count: int) -> None:
    items = entries(count, seed=1)
    index = FaissFastScanIndex(DIM)
    index.put(items)
    rng = np.random.default_rng(2)
    near = unit(np.concatenate([items[n].vectors[:1] for n in range(100)]) + rng.normal(size=(100, DIM), scale=0.05))
    assert np.allclose(index.best(near.astype(np.float32)), exact(items, near), atol=2e-3)
    strangers = unit(rng.normal(size=(100, DIM)).astype(np.float32))
    assert np.quantile(exact(items, strangers) - index.best(strangers), 0.95) < 0.03


def test_removed_and_replaced_rows_are_never_found_again() -> None:
    items = entries(EXHAUSTIVE_ROWS, seed=3)
    index = FaissFastScanIndex(DIM)
    index.put(items)
    queries = np.concatenate([item.vectors[:1] for item in items[:50]])
    assert (index.best(queries) > 0.99).all()
    index.remove([item.entry_id for item in items[:25]])
    index.put([IndexRows(entry_id=item.entry_id, kinds=("core",), vectors=-item.vectors[:1]) for item in items[25:50]])
    left = [*items[50:], *(IndexRows(entry_id="x", kinds=("c",), vectors=-i.vectors[:1]) for i in items[25:50])]
    assert np.allclose(index.best(queries), exact(left, queries), atol=0.05)
    assert (index.best(queries) < 0.99).all()
    assert len(index) == sum(len(item.kinds) for item in left)


def test_an_entry_added_after_a_search_is_found() -> None:
    index = FaissFastScanIndex(DIM)
    index.put(entries(EXHAUSTIVE_ROWS, seed=4))
    late = entries(1, seed=99)
    index.best(late[0].vectors)
    index.put(late)
    assert (index.best(late[0].vectors) > 0.99).all()


def test_a_snapshot_gives_the_same_answers() -> None:
    items = entries(EXHAUSTIVE_ROWS, seed=5)
    index = FaissFastScanIndex(DIM)
    index.put(items)
    index.remove([items[0].entry_id])
    copy = FaissFastScanIndex.from_bytes(index.to_bytes())
    queries = np.concatenate([item.vectors[:1] for item in items[1:60]])
    assert len(copy) == len(index)
    assert np.allclose(copy.best(queries), index.best(queries), atol=1e-3)


def test_an_empty_index_is_near_to_nothing_and_wrong_shapes_are_told() -> None:
    index = FaissFastScanIndex(DIM)
    assert index.best(np.ones((2, DIM), dtype=np.float32)).tolist() == [-1.0, -1.0]
    with pytest.raises(ValueError, match="vectors are"):
        index.put([IndexRows(entry_id="e", kinds=("core",), vectors=np.zeros((1, DIM + 1), dtype=np.float32))])
