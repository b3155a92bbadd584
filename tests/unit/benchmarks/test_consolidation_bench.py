"""The consolidation bench: its trials, its choice among them, its table and its plot."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.consolidation.judging import distance
from benchmarks.consolidation.plot import plot
from benchmarks.consolidation.table import described, table, with_table
from benchmarks.consolidation.trials import MOST_TRIALS, TRIALS
from finetune.evaluation.report import Figure, SplitFigures
from finetune.evaluation.run import RETAIN, UNTOUCHED, JudgedFigures
from finetune.methods.language import LOSSES, RECIPES, make_method

MARKS = "# Text\n\n<!-- methods: made by `make methods-table`, do not edit -->\nold\n<!-- end of methods -->\n\nMore\n"


def judged(rouge: float, leak: float, kept: float) -> JudgedFigures:
    def split(**values: float) -> SplitFigures:
        figures = {name: Figure(value=value, n=9, ci95=None, version=1) for name, value in values.items()}
        return SplitFigures(measured=figures)

    return JudgedFigures(
        identity={},
        accuracy={"forget": split(rouge_l_recall=rouge, leak_rate=leak)},
        locality={
            "retain": split(rouge_l_recall=kept, probability=kept),
            "utility": split(rouge_l_recall=kept, probability=kept),
        },
    )


def result(**figures: float) -> report.BenchResult:
    return report.BenchResult(config={}, versions={}, hardware={}, figures=figures, samples={})


@pytest.fixture
def measured() -> report.BenchResult:
    figures: dict[str, float] = {}
    for label, rouge in ((UNTOUCHED, 0.95), (RETAIN, 0.4), ("npo", 0.42)):
        figures |= {f"{label}_rouge": rouge, f"{label}_leak_rate": rouge / 2, f"{label}_model_utility": 0.5}
    return result(**figures, **{"npo_seconds": 212.4, "npo+4-bit_leak_rate": 0.25, "npo_forget_quality": 3.2e-7})


def test_every_method_is_tried_within_the_budget_with_hyper_parameters_that_it_has() -> None:
    assert set(TRIALS) == {*LOSSES, *RECIPES}
    for method, trials in TRIALS.items():
        assert 0 < len(trials) <= MOST_TRIALS
        for trial in trials:
            assert trial.method == method
            make_method(method, **trial.hyper_parameters)


def test_an_edit_is_as_far_from_the_twin_as_its_worst_figure() -> None:
    twin = judged(0.4, 0.1, 0.8)
    assert distance(twin, twin) == 0
    assert distance(judged(0.4, 0.1, 0.6), twin) == pytest.approx(0.25)
    assert distance(judged(0.1, 0.0, 0.8), twin) == pytest.approx(0.3)  # speaks less like it than who never knew
    assert distance(judged(0.4, 0.6, 0.9), twin) == pytest.approx(0.5)


def test_the_table_shows_what_was_measured_and_leaves_the_rest_empty(measured: report.BenchResult) -> None:
    lines = table(measured).split("\n")
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["untouched", "never knew", "`npo`"]
    npo = [cell.strip() for cell in lines[-1].split("|")[1:-1]]
    assert npo[1:3] == ["0.420", "0.210"]
    assert {"0.250", "212", "3e-07", ""} <= set(npo)
    assert len({line.count("|") for line in lines}) == 1


def test_every_method_is_described_in_its_files_own_words() -> None:
    lines = described().split("\n")
    assert [line.split("`")[1] for line in lines[2:]] == [*LOSSES, *RECIPES]
    wga = next(line for line in lines if "`wga`" in line)
    assert "Climb the loss of what is to be forgotten where the model is still sure of it" in wga
    assert "(https://arxiv.org/abs/2502.19301)" in wga
    assert len({line.count("|") for line in lines}) == 1


def test_the_table_replaces_what_stands_between_its_marks(measured: report.BenchResult) -> None:
    text = with_table(MARKS, table(measured))
    assert "old" not in text
    assert text.startswith("# Text\n")
    assert text.endswith("More\n")
    assert with_table(text, table(measured)) == text
    with pytest.raises(ValueError, match="no place for the table"):
        with_table("# Text\n", "table")


def test_the_plot_is_drawn_of_what_was_measured(measured: report.BenchResult, tmp_path: Path) -> None:
    plot(measured, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
