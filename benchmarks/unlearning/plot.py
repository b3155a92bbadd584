"""Draws a result: forgetting (leak rate) against locality (ROUGE-L on what must stay), every row a point with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.report import BenchResult
from benchmarks.unlearning.rows import ALONE, CANNED, UNTRAINED
from benchmarks.unlearning.table import figure_of, name_of
from finetune.evaluation.run import RETAIN

_MARKERS: Final = {RETAIN: "*", UNTRAINED: "*", CANNED: "x", **dict.fromkeys(ALONE, "s")}
_PANELS: Final = {
    "Asked plainly": ("forget", "leak_rate"),
    "Attacked prompts": ("adversarial", "leak_rate"),
}


def plot(result: BenchResult, path: Path) -> None:
    """Write a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(_PANELS), figsize=(14, 5.5), sharey=True)
    for axis, (title, (split, metric)) in zip(axes, _PANELS.items(), strict=True):
        for number, (label, figures) in enumerate(result.samples["rows"].items()):
            _point(axis, mpl.colormaps["tab20"](number % 20), label, figure_of(figures, split, metric), figures)
        axis.set_title(title, fontsize=9, loc="left")
        axis.set_xlabel("leak rate on what is to be forgotten, 95 % interval")
    axes[0].set_ylabel("ROUGE-L recall on what must stay, 95 % interval")
    axes[-1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.suptitle("Forgetting against locality through the proxy; best is top left", fontsize=11)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _point(axis: Any, colour: Any, label: str, leak: Mapping[str, Any] | None, figures: Mapping[str, Any]) -> None:
    kept = figure_of(figures, "kept", "rouge_l_recall")
    if leak is None or kept is None:
        return
    axis.errorbar(
        leak["value"],
        kept["value"],
        xerr=_sides(leak),
        yerr=_sides(kept),
        fmt=_MARKERS.get(label, "o"),
        markersize=14 if label in (RETAIN, UNTRAINED) else 8,
        color=colour,
        ecolor=(*_grey(), 0.5),
        elinewidth=1,
        label=name_of(label).replace("`", ""),
    )


def _sides(figure: Mapping[str, Any]) -> list[list[float]] | None:
    """How far the interval reaches below and above, as matplotlib wants it."""
    if figure["ci95"] is None:
        return None
    low, high = figure["ci95"]
    return [[max(0.0, figure["value"] - low)], [max(0.0, high - figure["value"])]]


def _grey() -> tuple[float, float, float]:
    return (0.4, 0.4, 0.4)
