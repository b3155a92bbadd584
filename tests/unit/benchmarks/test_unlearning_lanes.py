"""Rows of the unlearning bench side by side: each asked once, by a proxy that has registered what the row needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from benchmarks.processes import ServerFailed
from benchmarks.unlearning import bench
from benchmarks.unlearning.asking import Tell
from benchmarks.unlearning.bench import UnlearningPlan
from benchmarks.unlearning.kept import KeptReplies, Replies, Reply
from benchmarks.unlearning.material import Material, material
from benchmarks.unlearning.rows import Row, rows_of
from benchmarks.unlearning.served import Proxy

PLAN = {"treatments": ("ignorance", "stand_in", "icul"), "limit": 1, "lanes": 2}


class Lane(Proxy):
    """Notes what it is told, and answers every question rightly."""

    def register(self, entries: Sequence[Mapping[str, Any]]) -> None:
        notes(self).append("registered")

    def treat(self, ids: Sequence[str], method: str) -> None:
        notes(self).append(method)


NOTES: dict[str, list[str]] = {}


def notes(proxy: Proxy) -> list[str]:
    return NOTES.setdefault(proxy.url, [])


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What each proxy was told, by model and lane."""
    NOTES.clear()

    @contextmanager
    def serve(
        which: str, work: Path, *, assistant: Path | None, lane: int, lanes: int, has_ladder: bool
    ) -> Iterator[Proxy]:
        yield Lane(url=f"{which}-{lane}" if has_ladder else f"{which}-bare-{lane}", admin="")

    def timed(rows: Sequence[Row], *given: object, **others: object) -> None:
        NOTES["timed"] = [row.label for row in rows]

    monkeypatch.setattr(bench, "serving", serve)
    monkeypatch.setattr(bench, "warm_up", lambda proxy, row, given: notes(proxy).append(f"warmed {row.label}"))
    monkeypatch.setattr(bench, "time_rows", timed)
    return NOTES


def keep_all(proxy: Proxy, row: Row, given: Material, kept: KeptReplies) -> None:
    """As `ask_row` would leave it."""
    notes(proxy).append(f"asked {row.label}")
    for name, split in given.splits.items():
        by_id = {one.id: Reply(text=one.answer, status=200, seconds=1.0, alone=True) for one in split.asked}
        kept.keep(row, name, Replies(by_id=by_id))


def test_two_lanes_ask_every_row_once_and_those_without_entries_first(
    tmp_path: Path, lanes: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    both = Barrier(2, timeout=20)

    def ask(proxy: Proxy, row: Row, given: Material, kept: KeptReplies, tell: Tell) -> None:
        if row.label in ("none", "icu_prompt"):
            both.wait()  # passes only if another lane asks at the same time
        keep_all(proxy, row, given, kept)

    monkeypatch.setattr(bench, "ask_row", ask)
    plan = UnlearningPlan(work=tmp_path, **PLAN)  # type: ignore[arg-type]
    result = bench.measure(plan, lambda stage, done=0, total=0: None)
    asked = [note for told in lanes.values() for note in told if note.startswith("asked")]
    assert sorted(asked) == sorted(f"asked {row.label}" for row in rows_of(plan.treatments))
    assert result.config["lanes"] == 2
    assert result.config["embedder"] == "minilm-int8"
    assert {"lexical", "semantic"} <= set(result.config["detectors"])
    assert result.config["judge"] == "cross-encoder"
    assert result.config["without_ladder"] == ["icu_gated", "icul_alone"]
    bare = [note for name in ("target-bare-0", "target-bare-1") for note in lanes.pop(name)]
    assert {note for note in bare if note.startswith("asked")} == {"asked icu_gated", "asked icul_alone"}
    assert {"ignorance", "icul"} <= set(bare)
    assert lanes.pop("timed") == ["none", "icu_prompt", "ignorance"]
    assert set(lanes) == {"target-0", "target-1", "retain-0"}
    for told in (lanes["target-0"], lanes["target-1"]):
        assert told[:2] in (["warmed none", "asked none"], ["warmed icu_prompt", "asked icu_prompt"])
        assert told.count("registered") <= 1
        for before, after in pairwise(told):
            assert not after.startswith("asked") or before == after.replace("asked", "warmed")
            assert after != "warmed ignorance" or before == "ignorance"
    assert "registered" not in lanes["retain-0"]


def test_a_lane_that_fails_ends_the_others_and_what_was_asked_is_kept(
    tmp_path: Path, lanes: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(proxy: Proxy, row: Row, given: Material, kept: KeptReplies, tell: Tell) -> None:
        if row.label == "icu_prompt":
            raise ServerFailed("gone")
        keep_all(proxy, row, given, kept)
        while True:  # until the lane is told that another one failed
            tell(row.label)

    monkeypatch.setattr(bench, "ask_row", ask)
    plan = UnlearningPlan(work=tmp_path, **PLAN)  # type: ignore[arg-type]
    with pytest.raises(ServerFailed, match="gone"):
        bench.measure(plan, lambda stage, done=0, total=0: None)
    kept = KeptReplies(tmp_path, material(tmp_path, limit=1))
    left = [row.label for row in rows_of(plan.treatments) if kept.lacks(row)]
    assert left == [row.label for row in rows_of(plan.treatments) if row.label != "none"]
    assert "timed" not in lanes
