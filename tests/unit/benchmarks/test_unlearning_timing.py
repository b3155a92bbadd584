"""The pass that is timed: questions and rows in turn, one proxy busy at a time, every repeat kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.unlearning import asking, timing
from benchmarks.unlearning.asking import WARM_UP
from benchmarks.unlearning.kept import KeptReplies, Reply
from benchmarks.unlearning.material import Material, material
from benchmarks.unlearning.rows import Row, rows_of
from benchmarks.unlearning.served import Proxy
from benchmarks.unlearning.timing import EACH, TIMED, lacking, time_rows, timed_questions
from finetune.evaluation.metrics.evidence import Asked

ROWS = tuple(row for row in rows_of(("ignorance", "auto")) if row.is_timed)


class Noted(Proxy):
    """Notes what it is told."""

    def register(self, entries: Sequence[Mapping[str, Any]]) -> None:
        NOTES.append((self.url, "registered"))

    def treat(self, ids: Sequence[str], method: str) -> None:
        NOTES.append((self.url, method))


NOTES: list[tuple[str, str]] = []


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return material(tmp_path_factory.mktemp("few"), limit=3)


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Where each question went, in order."""
    NOTES.clear()

    @contextmanager
    def serve(which: str, work: Path, *, assistant: Path | None, lane: int) -> Iterator[Proxy]:
        yield Noted(url=f"proxy-{lane}", admin="")

    def answer(url: str, asked: Asked, prompt: str = "", *, max_tokens: int = 0) -> Reply:
        NOTES.append((f"{url}{' with a prompt' if prompt else ''}", asked.id))
        return Reply(text="x", status=200, seconds=1.0, request=asked.id)

    monkeypatch.setattr(timing, "serving", serve)
    monkeypatch.setattr(asking, "ask", answer)
    monkeypatch.setattr(timing, "traced", lambda proxy, replies: [replace(one, begun_anew=True) for one in replies])
    return NOTES


def run(given: Material, work: Path, rows: Sequence[Row] = ROWS) -> KeptReplies:
    kept = KeptReplies(work, given)
    time_rows(rows, given, kept, lambda stage, done=0, total=0: None, work=work)
    return kept


def test_twenty_four_of_each_kind_take_turns_and_are_of_all_authors(tmp_path: Path) -> None:
    whole = material(tmp_path)
    asked = timed_questions(whole)
    forget = {one.id for one in whole.splits["forget"].asked}
    assert [one.id in forget for one in asked] == [True, False] * EACH
    assert len({one.group for one in asked if one.id in forget}) == 4


def test_every_question_goes_to_every_row_before_the_next_and_who_begins_changes(
    few: Material, tmp_path: Path, notes: list[tuple[str, str]]
) -> None:
    run(few, tmp_path)
    assert [row.label for row in ROWS] == ["none", "icu_prompt", "ignorance", "auto"]
    assert ("proxy-1", "ignorance") in notes
    assert ("proxy-2", "auto") in notes
    assert ("proxy-0", "registered") not in notes
    asked = [note for note in notes if note[1] in {one.id for one in timed_questions(few)}]
    assert len(asked) == 6 * 4 * len(TIMED)
    turns = [asked[start : start + 4] for start in range(0, len(asked), 4)]
    for turn in turns:
        assert len({number for _, number in turn}) == 1
        assert {url for url, _ in turn} == {"proxy-0", "proxy-0 with a prompt", "proxy-1", "proxy-2"}
    assert len({turn[0][0] for turn in turns}) == 3
    first = notes.index(asked[0])
    assert sum(number == WARM_UP.id for _, number in notes[:first]) == 6
    assert not any(number == WARM_UP.id for _, number in notes[first:])


def test_repeats_are_kept_and_taken_again_for_all_rows_where_one_lacks_them(
    few: Material, tmp_path: Path, notes: list[tuple[str, str]]
) -> None:
    kept = run(few, tmp_path, ROWS[:3])
    assert not lacking(ROWS[:3], kept)
    assert lacking(ROWS, kept) == TIMED
    replies = kept.all_of(ROWS[2], more=TIMED)
    assert set(replies) == set(TIMED)
    assert all(one.begun_anew for one in replies[TIMED[0]].by_id.values())
    before = len(notes)
    run(few, tmp_path, ROWS[:3])
    assert len(notes) == before
    run(few, tmp_path)
    assert sum(url == "proxy-0" for url, _ in notes[before:]) > len(TIMED) * 6
