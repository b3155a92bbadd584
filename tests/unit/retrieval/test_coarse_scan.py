"""A large index: what the candidates leave out, and that changes are in force at once without building anew."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.indexes.faiss_flat import CANDIDATES, FaissFlatIndex
from retrieval.indexes.protocol import IndexRows

DIM = 32
SMALL = 500


def near(centre_D: NDArray[np.float32], count: int, spread: float, seed: int) -> NDArray[np.float32]:
    rows = centre_D + spread * np.random.default_rng(seed).standard_normal((count, DIM), dtype=np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def centres(count: int, seed: int = 0) -> NDArray[np.float32]:
    return near(np.zeros(DIM, dtype=np.float32), count, 1.0, seed)


def filled(entries: int, rows: int, *, exhaustive_rows: int) -> FaissFlatIndex:
    index = FaissFlatIndex(DIM, exhaustive_rows=exhaustive_rows)
    for number, centre_D in enumerate(centres(entries)):
        vectors = near(centre_D, rows, 0.1, number)
        index.put([IndexRows(entry_id=f"e{number}", kinds=("document",) * rows, vectors=vectors)])
    return index


@pytest.fixture(scope="module")
def both() -> tuple[FaissFlatIndex, FaissFlatIndex]:
    return filled(400, 10, exhaustive_rows=SMALL), filled(400, 10, exhaustive_rows=1_000_000)


def test_candidates_lead_to_what_an_exhaustive_search_finds(both: tuple[FaissFlatIndex, FaissFlatIndex]) -> None:
    large, exact = both
    queries = near(centres(400)[:100], 100, 0.1, 99)
    found = [item for query in large.above(queries, 0.5) for item in query]
    expected = [item for query in exact.above(queries, 0.5) for item in query]
    assert len(expected) > 100
    missing = {(item.entry_id, round(item.score, 3)) for item in expected} - {
        (item.entry_id, round(item.score, 3)) for item in found
    }
    assert len(missing) <= 0.01 * len(expected)
    assert np.allclose(large.best(queries), exact.best(queries), atol=1e-3)


def test_an_entry_is_found_as_soon_as_it_is_there_and_no_longer_than_that() -> None:
    index = filled(200, 10, exhaustive_rows=SMALL)
    newcomer = centres(1, seed=77)
    assert index.above(newcomer, 0.95) == [[]]
    index.put([IndexRows(entry_id="new", kinds=("name",), vectors=newcomer)])
    assert [item.entry_id for item in index.above(newcomer, 0.95)[0]] == ["new"]
    index.remove([f"e{number}" for number in range(0, 100, 3)])
    assert [item.entry_id for item in index.above(newcomer, 0.95)[0]] == ["new"]
    for number in (1, 2, 100, 199):
        own = index.above(near(centres(200)[number], 1, 0.0, 0), 0.8)[0]
        assert own[0].entry_id == f"e{number}"
    index.remove(["new"])
    assert index.above(newcomer, 0.95) == [[]]


def test_an_entry_with_more_near_rows_than_candidates_hides_no_other() -> None:
    index = filled(200, 10, exhaustive_rows=SMALL)
    query = centres(1, seed=5)
    many = CANDIDATES + 100
    index.put([IndexRows(entry_id="big", kinds=("document",) * many, vectors=near(query[0], many, 0.001, 1))])
    other = near(query[0], 1, 0.06, 2)
    index.put([IndexRows(entry_id="small", kinds=("name",), vectors=other)])
    assert [item.entry_id for item in index.above(query, 0.85)[0]] == ["big", "small"]


def test_bytes_keep_the_codes_so_that_a_start_does_not_quantise_again(
    both: tuple[FaissFlatIndex, FaissFlatIndex],
) -> None:
    large, exact = both
    queries = near(centres(400)[:20], 20, 0.1, 3)
    before = large.above(queries, 0.6)
    stored = large.to_bytes()
    assert len(stored) > len(exact.to_bytes())
    copy = FaissFlatIndex.from_bytes(stored)
    assert copy.to_bytes() == stored
    found = [[item.entry_id for item in query] for query in copy.above(queries, 0.6)]
    assert found == [[item.entry_id for item in query] for query in before]


def test_rows_that_cannot_be_quantised_are_searched_exhaustively() -> None:
    index = FaissFlatIndex(DIM - 1, exhaustive_rows=10)
    vectors = centres(50)[:, : DIM - 1]
    index.put([IndexRows(entry_id="a", kinds=("name",) * 50, vectors=vectors)])
    assert np.allclose(index.best(vectors[:5]), (vectors[:5] @ vectors.T).max(axis=1), atol=1e-3)
