"""The index at its full size: recall of the nearest ten rows, time of one search, bytes a vector, time of a change.

Rows are made to lie as real memory does: around embeddings of real sentences, each moved by a random step as large as
`SPREAD` of its length; queries are moved further, as requests are further from a page than its sentences from each
other. The exact nearest rows are counted out while the rows are made. Shapes: N rows, Q queries, D dimensions.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import psutil
from numpy.typing import NDArray

from retrieval.indexes.faiss_flat import FaissFlatIndex
from retrieval.indexes.protocol import IndexRows

ROWS_AN_ENTRY = 20
SPREAD = 0.6
QUERY_SPREAD = 0.8
NEAREST = 10
_ENTRIES_A_PUT = 1_000
_ROWS_SEARCHED = 128
_CHANGES = 50

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexFigures:
    """Times in milliseconds, but for `build_s`; `recall` is of the ten nearest rows."""

    match_ms: list[float]
    put_ms: list[float]
    recall: float
    bytes_per_vector: float
    build_s: float


def moved(rows_ND: Floats, spread: float, rng: np.random.Generator) -> Floats:
    """Rows moved by a random step, back to length 1."""
    steps_ND = rng.standard_normal(rows_ND.shape, dtype=np.float32) * np.float32(spread / np.sqrt(rows_ND.shape[1]))
    found_ND = rows_ND + steps_ND
    return np.asarray(found_ND / np.linalg.norm(found_ND, axis=1, keepdims=True), dtype=np.float32)


def measure_index(
    seeds_ND: Floats, *, vectors: int, queries: int, seed: int, say: Callable[[str], None]
) -> IndexFigures:
    """Fill an index of `vectors` rows and search it with one query at a time."""
    rng = np.random.default_rng(seed)
    queries_QD = moved(seeds_ND[rng.choice(len(seeds_ND), queries)], QUERY_SPREAD, rng)
    index = FaissFlatIndex(seeds_ND.shape[1])
    truth = _Truth(queries_QD)
    gc.collect()
    before = psutil.Process().memory_info().rss
    started = perf_counter()
    for number, chunk_ND in enumerate(_chunks(seeds_ND, vectors, rng)):
        index.put(_as_entries(chunk_ND, first=number * _ENTRIES_A_PUT))
        truth.see(chunk_ND)
        say(f"index: {len(index):,} of {vectors:,} vectors")
    index.nearest_rows(queries_QD[:1], NEAREST)  # trains and quantises
    build_s = perf_counter() - started
    gc.collect()
    bytes_per_vector = (psutil.Process().memory_info().rss - before) / len(index)
    found = [index.nearest_rows(query_D[None, :], NEAREST)[1][0] for query_D in queries_QD]
    hits = sum(len(set(own.tolist()) & set(exact.tolist())) for own, exact in zip(found, truth.rows_QK, strict=True))
    return IndexFigures(
        match_ms=[_timed(index.nearest_entries, query_D[None, :], _ROWS_SEARCHED) for query_D in queries_QD],
        put_ms=list(_changes(index, seeds_ND, rng)),
        recall=hits / (NEAREST * queries),
        bytes_per_vector=bytes_per_vector,
        build_s=build_s,
    )


class _Truth:
    """The exact nearest rows of each query, kept up while rows come."""

    def __init__(self, queries_QD: Floats) -> None:
        self._queries_QD = queries_QD
        self._scores_QK = np.full((len(queries_QD), NEAREST), -2.0, dtype=np.float32)
        self.rows_QK: Numbers = np.full((len(queries_QD), NEAREST), -1, dtype=np.int64)
        self._seen = 0

    def see(self, rows_ND: Floats) -> None:
        stored_ND = rows_ND.astype(np.float16).astype(np.float32)
        scores = np.concatenate([self._scores_QK, self._queries_QD @ stored_ND.T], axis=1)
        numbers = np.broadcast_to(np.arange(self._seen, self._seen + len(rows_ND)), (len(scores), len(rows_ND)))
        rows = np.concatenate([self.rows_QK, numbers], axis=1)
        order_QK = np.argpartition(-scores, NEAREST, axis=1)[:, :NEAREST]
        self._scores_QK = np.take_along_axis(scores, order_QK, axis=1)
        self.rows_QK = np.take_along_axis(rows, order_QK, axis=1)
        self._seen += len(rows_ND)


def _chunks(seeds_ND: Floats, vectors: int, rng: np.random.Generator) -> Iterator[Floats]:
    made = 0
    while made < vectors:
        count = min(_ENTRIES_A_PUT * ROWS_AN_ENTRY, vectors - made)
        yield moved(seeds_ND[rng.choice(len(seeds_ND), count)], SPREAD, rng)
        made += count


def _as_entries(rows_ND: Floats, *, first: int) -> list[IndexRows]:
    parts = [rows_ND[start : start + ROWS_AN_ENTRY] for start in range(0, len(rows_ND), ROWS_AN_ENTRY)]
    return [
        IndexRows(entry_id=f"entry-{first + number}", kinds=("exemplar",) * len(part), vectors=part)
        for number, part in enumerate(parts)
    ]


def _changes(index: FaissFlatIndex, seeds_ND: Floats, rng: np.random.Generator) -> Iterator[float]:
    """A new entry and the first search that sees it."""
    for number in range(_CHANGES):
        rows_ND = moved(seeds_ND[rng.choice(len(seeds_ND), ROWS_AN_ENTRY)], SPREAD, rng)
        item = IndexRows(entry_id=f"new-{number}", kinds=("exemplar",) * ROWS_AN_ENTRY, vectors=rows_ND)

        def put_and_search(item: IndexRows = item) -> None:
            index.put([item])
            index.nearest_entries(item.vectors[:1], _ROWS_SEARCHED)

        yield _timed(put_and_search)


def _timed(call: Callable[..., object], *arguments: object) -> float:
    started = perf_counter()
    call(*arguments)
    return (perf_counter() - started) * 1e3
