"""The vector index against a plain calculation, and snapshots that fit or are refused."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.indexes import INDEXES
from retrieval.indexes.faiss_flat import FaissFlatIndex
from retrieval.indexes.protocol import IndexRows
from retrieval.indexes.snapshot import Snapshot, read_snapshot, write_snapshot

DIM = 16


def unit(count: int, seed: int) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((count, DIM), dtype=np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def rows_of(entry_id: str, count: int, seed: int) -> IndexRows:
    return IndexRows(entry_id=entry_id, kinds=("name",) * count, vectors=unit(count, seed))


@pytest.fixture(params=list(INDEXES))
def index(request: pytest.FixtureRequest) -> FaissFlatIndex:
    return INDEXES[request.param]()(DIM)


def test_the_best_row_of_every_entry_above_the_threshold_is_found(index: FaissFlatIndex) -> None:
    items = [rows_of(f"e{number}", 1 + number % 7, number) for number in range(60)]
    index.put(items)
    queries = unit(5, 999)
    for query, found in zip(queries, index.above(queries, 0.3), strict=True):
        best = {item.entry_id: float((item.vectors @ query).max()) for item in items}
        expected = sorted(((score, name) for name, score in best.items() if score >= 0.3), reverse=True)
        assert [item.entry_id for item in found] == [name for _, name in expected]
        assert np.allclose([item.score for item in found], [score for score, _ in expected], atol=2e-3)
    assert np.allclose(
        index.best(queries),
        [max(float((item.vectors @ query).max()) for item in items) for query in queries],
        atol=2e-3,
    )


def test_an_entry_with_very_many_near_rows_hides_no_other(index: FaissFlatIndex) -> None:
    query = unit(1, 1)
    near = np.asarray(np.repeat(query, 500, axis=0), dtype=np.float32)
    other = np.asarray(query + 0.3 * unit(1, 2), dtype=np.float32)
    index.put([IndexRows(entry_id="big", kinds=("document",) * 500, vectors=near)])
    index.put([IndexRows(entry_id="small", kinds=("name",), vectors=other / np.linalg.norm(other))])
    assert [item.entry_id for item in index.above(query, 0.8)[0]] == ["big", "small"]


def test_removed_and_replaced_rows_are_found_no_more(index: FaissFlatIndex) -> None:
    old, new = rows_of("a", 3, 1), rows_of("a", 2, 2)
    index.put([old, rows_of("b", 2, 3)])
    index.put([new])
    assert len(index) == 4
    assert index.best(new.vectors).min() > 0.99
    assert index.best(old.vectors).max() < 0.99
    index.remove(["a", "never there"])
    assert len(index) == 2
    assert index.entry_ids == {"b"}
    assert all(found.entry_id == "b" for found in index.above(unit(1, 3), -1.0)[0])


def test_an_empty_index_finds_nothing(index: FaissFlatIndex) -> None:
    assert index.above(unit(2, 1), 0.1) == [[], []]
    assert index.best(unit(2, 1)).tolist() == [-1.0, -1.0]
    index.put([IndexRows(entry_id="a", kinds=(), vectors=np.empty((0, DIM), dtype=np.float32))])
    assert len(index) == 0


def test_rows_of_another_shape_are_refused(index: FaissFlatIndex) -> None:
    with pytest.raises(ValueError, match="not"):
        index.put([IndexRows(entry_id="a", kinds=("name", "name"), vectors=unit(1, 1))])
    assert len(index) == 0


def test_bytes_give_the_same_index_back_and_it_goes_on_working(index: FaissFlatIndex) -> None:
    index.put([rows_of("a", 2, 1), rows_of("b", 3, 2), rows_of("c", 1, 3)])
    index.remove(["b"])
    copy = type(index).from_bytes(index.to_bytes())
    queries = unit(4, 9)
    assert copy.above(queries, -1.0) == index.above(queries, -1.0)
    copy.put([rows_of("d", 2, 4)])
    copy.remove(["a"])
    assert copy.entry_ids == {"c", "d"}
    assert {item.entry_id for item in copy.above(queries, -1.0)[0]} == {"c", "d"}


def saved(path: Path) -> Path:
    write_snapshot(path / "x.snapshot", Snapshot(seq=7, blobs={"a": b"one\n", "b": b""}), fingerprint="fp")
    return path / "x.snapshot"


def test_a_snapshot_comes_back_whole(tmp_path: Path) -> None:
    path = saved(tmp_path)
    found = read_snapshot(path, fingerprint="fp", registry_seq=7)
    assert found == Snapshot(seq=7, blobs={"a": b"one\n", "b": b""})
    assert path.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == [path]


def test_no_snapshot_is_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read_snapshot(tmp_path / "none", fingerprint="fp", registry_seq=7) is None
    assert caplog.records == []


@pytest.mark.parametrize(
    ("damage", "fingerprint", "registry_seq"),
    [
        (lambda data: data, "other", 7),
        (lambda data: data, "fp", 6),
        (lambda data: data[:-1], "fp", 7),
        (lambda data: data + b"x", "fp", 7),
        (lambda data: data.replace(b"one", b"two"), "fp", 7),
        (lambda data: b"{" + data, "fp", 7),
        (lambda data: b"[]\n" + data, "fp", 7),
        (lambda data: b"", "fp", 7),
    ],
)
def test_a_snapshot_that_does_not_fit_is_refused_with_a_warning(
    damage: type[bytes], fingerprint: str, registry_seq: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = saved(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert read_snapshot(path, fingerprint=fingerprint, registry_seq=registry_seq) is None
    assert "not used" in caplog.text
