"""Draws a result: forgetting against locality, and what leaks plain, under attack, and after attacks on the weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.consolidation.table import methods_of
from benchmarks.report import BenchResult
from finetune.consolidation.attacked_weights import CHANGES
from finetune.evaluation.run import RETAIN, UNTOUCHED

_NAMES: Final = {UNTOUCHED: "untouched", RETAIN: "never knew"}
_BARS: Final = {
    "plain": "_leak_rate",
    "paraphrased": "_paraphrase_leak_rate",
    "attacked prompts": "_adversarial_leak_rate",
    **{change: f"+{change}_leak_rate" for change in CHANGES},
}


def plot(result: BenchResult, path: Path) -> None:
    """Write a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(14, 5.5), width_ratios=(1, 1.6))
    _scatter(left, result.figures)
    _bars(right, result.figures)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _scatter(axis: Any, figures: Mapping[str, float]) -> None:
    for label in (UNTOUCHED, RETAIN, *methods_of(figures)):
        x, y = figures[f"{label}_rouge"], figures[f"{label}_model_utility"]
        axis.scatter(x, y, marker="*" if label in _NAMES else "o", s=130 if label in _NAMES else 45)
        axis.annotate(_NAMES.get(label, label), (x, y), xytext=(5, 4), textcoords="offset points", fontsize=8)
    retain = figures[f"{RETAIN}_rouge"], figures[f"{RETAIN}_model_utility"]
    axis.axvspan(retain[0] - 0.05, retain[0] + 0.05, alpha=0.12)
    axis.axhspan(retain[1] * 0.95, max(axis.get_ylim()[1], retain[1] * 1.05), alpha=0.12)
    axis.set_xlabel("ROUGE-L recall on what is to be forgotten")
    axis.set_ylabel("model utility")
    axis.set_title("Forgetting against locality; shaded: within 5 of the model that never knew", fontsize=9, loc="left")


def _bars(axis: Any, figures: Mapping[str, float]) -> None:
    labels = [UNTOUCHED, RETAIN, *methods_of(figures)]
    width = 0.8 / len(_BARS)
    for number, (name, ending) in enumerate(_BARS.items()):
        places = [place + number * width for place, label in enumerate(labels) if f"{label}{ending}" in figures]
        values = [figures[f"{label}{ending}"] for label in labels if f"{label}{ending}" in figures]
        axis.bar(places, values, width, label=name)
    axis.set_xticks(
        [place + 0.4 - width / 2 for place in range(len(labels))],
        [_NAMES.get(one, one) for one in labels],
        rotation=30,
        ha="right",
        fontsize=8,
    )
    axis.set_ylabel("leak rate")
    axis.set_title("What leaks", fontsize=9, loc="left")
    axis.legend(fontsize=8)
