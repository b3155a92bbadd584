"""Draws a report: forgetting against locality, a point with its intervals for every treatment; best is top left."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from guardrail.evaluation.images.measures import Figure
from guardrail.evaluation.images.report import Axes, ImagesReport
from guardrail.evaluation.images.treatments import UNTREATED

_PANELS: Final = {"Asked by its name": "accuracy", "Other words, implied, attacked": "generalizability"}


def write_plot(report: ImagesReport, path: Path) -> None:
    """Write a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    colours = [mpl.colormaps["tab20"](number) for number in range(20)]
    figure, axes = pyplot.subplots(1, len(_PANELS), figsize=(13, 5), sharey=True)
    for axis, (title, name) in zip(axes, _PANELS.items(), strict=True):
        for number, (label, told) in enumerate(report.figures.items()):
            _point(axis, colours[number % len(colours)], label, told.axes, name)
        axis.set_title(title, fontsize=9, loc="left")
        axis.set_xlabel("share of pictures that still show it, 95 % interval")
        axis.set_xlim(-0.05, 1.05)
    axes[0].set_ylabel("other prompts followed, 95 % interval")
    axes[-1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.suptitle(f"Forgetting in pictures against locality: {report.config['suite']}", fontsize=11)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _point(axis: Any, colour: Any, label: str, told: Axes, name: str) -> None:
    erased, kept = getattr(told, name), told.locality
    # The legend of the last panel names all, also what has no point in it.
    x, y = (1 - erased.value, kept.value) if erased and kept else (float("nan"), float("nan"))
    axis.errorbar(
        x,
        y,
        xerr=_sides(erased, is_turned=True) if erased and kept else None,
        yerr=_sides(kept) if erased and kept else None,
        fmt="*" if label == UNTREATED else "o",
        markersize=13 if label == UNTREATED else 8,
        color=colour,
        ecolor=(0.4, 0.4, 0.4, 0.5),
        alpha=0.8,
        elinewidth=1,
        label=label,
    )


def _sides(figure: Figure, *, is_turned: bool = False) -> list[list[float]] | None:
    """How far the interval reaches below and above; turned, of what is left to 1."""
    if figure.ci95 is None:
        return None
    below, above = max(0.0, figure.value - figure.ci95[0]), max(0.0, figure.ci95[1] - figure.value)
    return [[above], [below]] if is_turned else [[below], [above]]
