"""What the unlearning bench reads off the proxy's records for each question by itself, and the short table."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import report
from benchmarks.unlearning import asking
from benchmarks.unlearning.asking import ask_row
from benchmarks.unlearning.figures import row_figures
from benchmarks.unlearning.kept import KeptReplies, Replies, Reply
from benchmarks.unlearning.material import Material, material
from benchmarks.unlearning.rows import Row
from benchmarks.unlearning.served import Proxy
from benchmarks.unlearning.table import BRIEF, COLUMNS, LEGEND, main, table
from benchmarks.unlearning.timing import TIMED, timed_questions
from benchmarks.unlearning.traces import Trace, Traces
from finetune.evaluation.metrics.evidence import Asked
from finetune.evaluation.report import Figure, SplitFigures

ROW = Row(label="auto", method="auto", is_close=True, is_timed=True)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return material(tmp_path_factory.mktemp("few"), limit=4)


class Written(Traces):
    """Records as they are told."""

    def __init__(self) -> None:
        self.told: dict[str, Trace] = {}

    def of(self, requests: Collection[str]) -> dict[str, Trace]:
        return {one: self.told[one] for one in requests}


@dataclass(frozen=True, kw_only=True)
class Recording(Proxy):
    """A proxy that treats what names somebody to be forgotten, and begins every second such answer anew."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "traces", Written())
        object.__setattr__(self, "_numbers", count())

    def answer(self, url: str, asked: Asked, prompt: str = "", *, max_tokens: int = 0) -> Reply:
        told = self.traces.told  # type: ignore[attr-defined]  # those of this fake
        number, is_met = f"r{next(self._numbers)}", any(name in asked.question for name in self.names)  # type: ignore[attr-defined]
        met = sum(trace.treated for trace in told.values()) + is_met
        leaks = 3 if is_met and met % 2 == 0 else 0
        told[number] = Trace(treatment="stand_in" if is_met else "", leaks=leaks, begun_anew=leaks > 0)
        return Reply(text=asked.answer, status=200, finish="stop", seconds=1.0, request=number, body=asked.answer)


@pytest.fixture
def asked(few: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Replies]:
    proxy = Recording(url="", admin="", names=few.names)
    monkeypatch.setattr(asking, "ask", proxy.answer)
    kept = KeptReplies(tmp_path, few)
    ask_row(proxy, ROW, few, kept, lambda stage, done=0, total=0: None)
    found = KeptReplies(tmp_path, few).all_of(ROW)
    forget = {number: one for split in ("forget", "neighbor") for number, one in found[split].by_id.items()}
    timed = Replies(by_id={one.id: forget[one.id] for one in timed_questions(few)})
    return {**found, **dict.fromkeys(TIMED, timed)}


def test_of_every_question_it_is_known_whether_it_was_treated_and_begun_anew(
    few: Material, asked: dict[str, Replies]
) -> None:
    for split in ("forget", "paraphrase", "adversarial"):
        for one in few.splits[split].asked:
            assert asked[split].by_id[one.id].treated is any(name in one.question for name in few.names)
    treated = [one for split in few.splits for one in asked[split].by_id.values() if one.treated]
    assert sum(one.begun_anew for one in treated) == len(treated) // 2
    assert {one.author for one in treated} == {"model"}
    assert not any(one.treated for one in asked["neighbor"].by_id.values())
    assert {one.author for one in asked["neighbor"].by_id.values()} == {None}


def test_the_rewrite_rate_is_of_treated_forget_questions_and_sure_by_authors(
    few: Material, asked: dict[str, Replies]
) -> None:
    rate = row_figures(few, asked, asked)["cost"].measured["rewrite_rate"]
    treated = [one for one in asked["forget"].by_id.values() if one.treated]
    assert rate.n == len(treated) > 1
    assert rate.value == sum(one.begun_anew for one in treated) / len(treated) > 0
    one_author = replace(
        few.splits["forget"], asked=tuple(replace(one, group="a") for one in few.splits["forget"].asked)
    )
    alike = replace(few, splits={**few.splits, "forget": one_author})
    wider = row_figures(alike, asked, asked)["cost"].measured["rewrite_rate"]
    assert wider.ci95 is not None
    assert rate.ci95 is not None
    assert wider.ci95[0] < rate.ci95[0] < rate.ci95[1] < wider.ci95[1]


def test_a_row_that_is_not_looked_at_closely_is_asked_sixteen_at_a_time_and_says_nothing_about_bytes_or_seconds(
    few: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Recording(url="", admin="", names=few.names)
    monkeypatch.setattr(asking, "ask", proxy.answer)
    plain, kept = replace(ROW, is_close=False, is_timed=False), KeptReplies(tmp_path, few)
    ask_row(proxy, plain, few, kept, lambda stage, done=0, total=0: None)
    assert not kept.lacks(plain)
    assert kept.lacks(ROW)
    asked = kept.all_of(plain)
    assert "invented" not in asked
    assert not any(one.alone for replies in asked.values() for one in replies.by_id.values())
    figures = row_figures(few, asked, asked)
    assert {"seconds", "seconds_ratio", "kept_seconds_ratio"} <= set(figures["cost"].absent)
    assert "rewrite_rate" in figures["cost"].measured
    assert set(figures["untouched"].absent) == {"identical", "identical_if_passed", "same_text"}
    assert figures["untouched"].measured["treated"].value == 0
    assert "oracle" not in figures
    assert "rouge_l_recall" in figures["neighbor"].measured


def test_answers_that_were_not_begun_anew_have_a_time_of_their_own(few: Material, asked: dict[str, Replies]) -> None:
    timed = asked[TIMED[0]].by_id
    slow = Replies(by_id={key: replace(one, seconds=9.0) if one.begun_anew else one for key, one in timed.items()})
    assert len({one.seconds for one in slow.by_id.values()}) == 2
    row = {**asked, **dict.fromkeys(TIMED, slow)}
    cost = row_figures(few, row, asked)["cost"].measured
    assert cost["once_seconds_ratio"].value == 1
    assert cost["seconds_ratio"].value > 1
    assert cost["kept_seconds_ratio"].value == 1


def test_a_ratio_of_seconds_is_the_median_over_questions_and_one_slow_moment_is_not_seen(
    few: Material, asked: dict[str, Replies]
) -> None:
    first, *_ = few.splits["forget"].asked
    slow = Replies(by_id={**asked[TIMED[0]].by_id, first.id: replace(asked[TIMED[0]].by_id[first.id], seconds=500.0)})
    cost = row_figures(few, {**asked, TIMED[0]: slow}, asked)["cost"].measured
    assert cost["seconds_ratio"].value == 1
    assert cost["seconds_ratio"].n == 4


def test_of_what_must_stay_the_proxy_tells_what_it_treated_and_what_it_let_pass(
    few: Material, asked: dict[str, Replies]
) -> None:
    figures = row_figures(few, asked, asked)["untouched"].measured
    assert figures["treated"].value == 0
    assert figures["identical_if_passed"].n == 8
    first, second, *_ = asked["neighbor"].by_id.items()
    treated = replace(first[1], text="Else.", body="else", treated=True)
    spaced = replace(second[1], body="the same text in other bytes")
    changed = {**asked["neighbor"].by_id, first[0]: treated, second[0]: spaced}
    figures = row_figures(few, {**asked, "neighbor": Replies(by_id=changed)}, asked)["untouched"].measured
    assert figures["treated"].value == 1 / 8
    assert figures["identical"].value == 6 / 8
    assert figures["same_text"].value == 7 / 8
    assert figures["identical_if_passed"].value == pytest.approx(6 / 7)
    assert figures["identical_if_passed"].n == 7


def test_the_short_table_has_thirteen_figures_a_row_and_says_what_its_rows_are(tmp_path: Path) -> None:
    leaks = SplitFigures(measured={"leak_rate": Figure(value=0.25, n=4, ci95=(0.1, 0.5), version=1)})
    rows = ("auto", "icul", "icul_alone")
    result = report.BenchResult(
        config={},
        versions={},
        hardware={},
        figures={"auto_forget_leak_rate": 0.25},
        samples={"rows": {label: {"forget": leaks.model_dump(mode="json")} for label in rows}},
    )
    report.write(result, tmp_path / "out.json")
    shown = CliRunner().invoke(main, [str(tmp_path / "out.json"), "--brief"]).output
    assert len(BRIEF) == 13 < len(COLUMNS)
    assert shown.split("\n")[0].strip("| ").split(" | ")[1:] == list(BRIEF)
    for name in ("`auto` + ladder", "`icul` + ladder", "ICUL alone"):
        assert f"| {name} |  | 0.250 (≤ 0.500) |" in shown
    assert all(line in shown for line in LEGEND)
    assert table(result) == CliRunner().invoke(main, [str(tmp_path / "out.json")]).output.strip()
