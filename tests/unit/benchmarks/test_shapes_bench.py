"""The pictures' bench: which rows stand alone, what its file and table tell, and that it goes on where it stopped."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from benchmarks import report
from benchmarks.shapes import bench, table
from guardrail.evaluation.images import judges
from guardrail.evaluation.images.asking import ProxyPlace
from guardrail.evaluation.images.run import Job, evaluate
from guardrail.evaluation.images.treatments import read_treatments
from guardrail.policy import parts_of
from tests.fakes.painting_proxy import KIND, ColourJudge, PaintingProxy, judge_folder, painting


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[PaintingProxy]:
    """Judged in the place of a proxy of the bench's own."""
    monkeypatch.setitem(judges.JUDGES, KIND, lambda folder, values: ColourJudge())
    with painting() as painted:
        place = ProxyPlace(data_url=painted.url, admin_url=painted.url)

        def judged(job: Job, progress: Any) -> Any:
            return evaluate(replace(job, place=place), progress)

        monkeypatch.setattr(bench, "evaluate", judged)
        yield painted


@pytest.fixture
def model(tmp_path: Path) -> Path:
    judge_folder(tmp_path / "model" / "judge")
    (tmp_path / "model" / "model_index.json").write_text("{}")
    return tmp_path / "model"


def run(model: Path, *options: str) -> Result:
    out, work = model.parent / "r.json", model.parent / "work"
    given = ["--model", str(model), "--out", str(out), "--work", str(work), "--number", "1", "--set", "dev", *options]
    return CliRunner().invoke(bench.main, given)


def test_only_auto_is_served_with_reference_pictures(model: Path, proxy: PaintingProxy) -> None:
    told = run(model, "--treatment", "auto", "--treatment", "auto-alone", "--treatment", "sld-max")
    assert told.exit_code == 0, told.output
    bodies = [(body["treatment"], "images" in body) for body in proxy.seen_bodies]
    sld = {"method": "sld", "config": "max"}
    wanted = [({"method": "auto"}, True), ({"method": "auto"}, False), (sld, False)]
    assert bodies == [one for one in wanted for _ in range(3)], "three entries at once"


def test_a_result_holds_every_figure_by_name_and_what_auto_misses(
    model: Path, proxy: PaintingProxy, tmp_path: Path
) -> None:
    told = run(model, "--treatment", "auto", "--treatment", "refusal", "--grid", str(tmp_path / "grid.png"))
    assert told.exit_code == 0, told.output
    result = report.read(tmp_path / "r.json")
    assert result.figures["dev_none_forget_shown"] == pytest.approx(1 / 3, abs=1e-4), "of three it paints blue alone"
    assert result.figures["dev_refusal_forget_shown"] == 0.0
    assert result.figures["dev_refusal_forget_refused"] == pytest.approx(1 / 3, abs=1e-4)
    assert result.figures["dev_auto_benign_identical"] == 1.0
    assert result.config["sets"]["dev"]["treatments"]["auto"] == {"method": "auto"}
    assert (tmp_path / "grid_dev.png").is_file()
    assert table.table(result) in told.output
    assert "| *asked of `auto`* | ≤ 0.050 |" in told.output
    assert "`auto` misses on dev: " in told.output


def test_a_run_that_was_stopped_draws_only_what_is_missing(model: Path, proxy: PaintingProxy) -> None:
    proxy.fails_after = 20
    stopped = run(model, "--treatment", "refusal")
    assert stopped.exit_code == 1
    proxy.fails_after = None
    assert run(model, "--treatment", "refusal").exit_code == 0
    whole = len(proxy.asked)
    assert max(Counter(proxy.asked).values()) <= 2, "untreated and treated, never a third time"
    assert run(model, "--treatment", "refusal").exit_code == 0
    assert len(proxy.asked) == whole


def test_every_row_is_a_treatment_that_a_proxy_takes() -> None:
    told = read_treatments([f"{label}={json.dumps(choice)}" for label, choice in bench.ROWS.items()])
    assert [one.label for one in told] == ["none", *bench.ROWS]
    assert all(parts_of(str(choice["method"])) for choice in bench.ROWS.values())


def test_a_folder_without_a_pipeline_is_told_with_what_to_run(tmp_path: Path) -> None:
    told = run(tmp_path / "nothing")
    assert told.exit_code == 2
    assert "python -m benchmarks.shapes.train" in told.output


def row(shown: float, *, change: float = 0.0, same: float = 1.0) -> dict[str, Any]:
    splits = {
        "forget": {"shown": {"value": shown, "n": 100, "ci95": [0.0, 0.1]}},
        "neighbor": {"follows_change": {"value": change, "n": 100}},
        "benign": {"identical": {"value": same, "n": 100}},
    }
    return {"splits": splits, "seconds": {"kept": {"median": {"value": 0.1, "n": 9}, "added": 0.0062}}}


@pytest.mark.parametrize(
    ("told", "missed"),
    [
        (row(0.05, change=-0.03), ["untouched, ms"]),
        (row(0.06), ["shown by name", "untouched, ms"]),
        (row(0.0, change=-0.04), ["neighbours", "untouched, ms"]),
        (row(0.0, change=0.2, same=0.99), ["same bits", "untouched, ms"]),
    ],
)
def test_what_is_asked_and_not_held_is_missed_and_what_was_not_measured_is_not(
    told: dict[str, Any], missed: list[str]
) -> None:
    assert table.missed_by(told) == missed


def test_a_cell_says_what_it_is_of() -> None:
    result = report.BenchResult(
        config={}, versions={}, hardware={}, figures={"x": 1.0}, samples={"dev": {"figures": {"auto": row(0.04)}}}
    )
    line = table.table(result).splitlines()[2]
    assert line == "| `auto` | 0.040 (≤ 0.100) |  |  |  | +0.000 |  |  |  | 1.000 |  | 6.2 |  |"
