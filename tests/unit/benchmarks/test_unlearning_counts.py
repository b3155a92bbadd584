"""What the unlearning bench reads off the proxy's counts for each question by itself, and the short table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import report
from benchmarks.unlearning import asking
from benchmarks.unlearning.asking import KeptReplies, Replies, Reply, ask_row
from benchmarks.unlearning.figures import PROBES, row_figures
from benchmarks.unlearning.material import Material, material
from benchmarks.unlearning.rows import Row
from benchmarks.unlearning.served import Proxy
from benchmarks.unlearning.table import BRIEF, COLUMNS, main, table
from finetune.evaluation.metrics.evidence import Asked
from finetune.evaluation.report import Figure, SplitFigures

ROW = Row(label="auto", method="auto", is_close=True)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return material(tmp_path_factory.mktemp("few"), limit=4)


@dataclass(frozen=True, kw_only=True)
class Counting(Proxy):
    """A proxy that treats what names somebody to be forgotten, and begins every second such answer anew."""

    names: tuple[str, ...]
    counted: Counter[str] = field(default_factory=Counter)

    def counts(self) -> Counter[str]:
        return Counter(self.counted)

    def answer(self, url: str, asked: Asked, prompt: str = "", *, max_tokens: int = 0) -> Reply:
        if any(name in asked.question for name in self.names):
            self.counted["model"] += 1
            if self.counted["model"] % 2 == 0:
                self.counted.update({"leaks": 3, "rewrite": 2})
        return Reply(text=asked.answer, status=200, finish="stop", seconds=1.0)


@pytest.fixture
def asked(few: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Replies]:
    proxy = Counting(url="", admin="", names=few.names)
    monkeypatch.setattr(asking, "ask", proxy.answer)
    kept = KeptReplies(tmp_path, few)
    ask_row(proxy, ROW, few, kept, lambda stage, done=0, total=0: None)
    return KeptReplies(tmp_path, few).all_of(ROW)


def test_of_a_question_asked_alone_it_is_known_whether_it_was_treated_and_begun_anew(
    few: Material, asked: dict[str, Replies]
) -> None:
    for one in few.splits["forget"].asked:
        assert asked["forget"].by_id[one.id].treated is any(name in one.question for name in few.names)
    flags = [one.begun_anew for split in ("forget", "invented") for one in asked[split].by_id.values() if one.treated]
    assert flags == [number % 2 == 1 for number in range(len(flags))]
    assert not any(one.treated for one in asked["neighbor"].by_id.values())
    assert {one.treated for one in asked["adversarial"].by_id.values()} == {None}


def test_the_rewrite_rate_is_of_treated_forget_questions(few: Material, asked: dict[str, Replies]) -> None:
    figures = row_figures(few, asked, asked)
    rate = figures["cost"].measured["rewrite_rate"]
    treated = [one for one in asked["forget"].by_id.values() if one.treated]
    assert rate.n == len(treated) > 1
    assert rate.value == sum(bool(one.begun_anew) for one in treated) / len(treated) > 0


def test_of_a_row_that_is_not_looked_at_closely_only_what_is_to_be_forgotten_is_timed(
    few: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Counting(url="", admin="", names=few.names)
    monkeypatch.setattr(asking, "ask", proxy.answer)
    plain, kept = replace(ROW, is_close=False), KeptReplies(tmp_path, few)
    ask_row(proxy, plain, few, kept, lambda stage, done=0, total=0: None)
    assert not kept.lacks(plain)
    assert kept.lacks(ROW)
    asked = kept.all_of(plain)
    assert "invented" not in asked
    figures = row_figures(few, asked, asked)
    assert {"seconds", "seconds_ratio", "rewrite_rate"} <= set(figures["cost"].measured)
    assert "kept_seconds_ratio" in figures["cost"].absent
    assert set(figures["untouched"].absent) == {"identical", "identical_if_passed", "treated"}
    assert "oracle" not in figures
    assert "rouge_l_recall" in figures["neighbor"].measured


def test_the_leaks_of_all_probes_are_counted_as_one(few: Material, asked: dict[str, Replies]) -> None:
    figures = row_figures(few, asked, asked)
    measured = [figures[name].measured for name in PROBES]
    parts = [one["leak_rate"] for one in measured if "leak_rate" in one]
    whole = figures["probes"].measured["leak_rate"]
    assert len(parts) > 1
    assert whole.n == sum(one.n for one in parts)
    assert whole.value * whole.n == pytest.approx(sum(one.value * one.n for one in parts))


def test_answers_that_were_not_begun_anew_have_a_time_of_their_own(few: Material, asked: dict[str, Replies]) -> None:
    slow = {key: replace(one, seconds=9.0) if one.begun_anew else one for key, one in asked["forget"].by_id.items()}
    row = {**asked, "forget": replace(asked["forget"], by_id=slow)}
    cost = row_figures(few, row, asked)["cost"].measured
    assert cost["once_seconds_ratio"].value == 1 < cost["seconds_ratio"].value


def test_of_what_must_stay_the_proxy_tells_what_it_treated_and_what_it_let_pass(
    few: Material, asked: dict[str, Replies]
) -> None:
    figures = row_figures(few, asked, asked)["untouched"].measured
    assert figures["treated"].value == 0
    assert figures["identical_if_passed"].n == 8
    first, *_ = asked["neighbor"].by_id
    changed = {**asked["neighbor"].by_id, first: Reply(text="Else.", status=200, seconds=1.0, treated=True)}
    row = {**asked, "neighbor": replace(asked["neighbor"], by_id=changed)}
    figures = row_figures(few, row, asked)["untouched"].measured
    assert figures["treated"].value == figures["identical"].value - 6 / 8 == 1 / 8
    assert figures["identical_if_passed"].value == 1
    assert figures["identical_if_passed"].n == 7


def test_the_short_table_has_thirteen_figures_a_row(tmp_path: Path) -> None:
    leaks = SplitFigures(measured={"leak_rate": Figure(value=0.25, n=4, ci95=(0.1, 0.5), version=1)})
    result = report.BenchResult(
        config={},
        versions={},
        hardware={},
        figures={"auto_forget_leak_rate": 0.25},
        samples={"rows": {"auto": {"forget": leaks.model_dump(mode="json")}}},
    )
    report.write(result, tmp_path / "out.json")
    shown = CliRunner().invoke(main, [str(tmp_path / "out.json"), "--brief"]).output
    assert len(BRIEF) == 13 < len(COLUMNS)
    assert shown.split("\n")[0].strip("| ").split(" | ")[1:] == list(BRIEF)
    assert "| `auto` |  | 0.250 (≤ 0.500) |" in shown
    assert table(result) == CliRunner().invoke(main, [str(tmp_path / "out.json")]).output.strip()
