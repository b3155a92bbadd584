"""The picture of the detection benchmark: recall against false positives by probe group, and where the scores lie.

Left: for each group of forget probes, the share caught by the request as the threshold moves, against the share of
neighbours; dots mark where the gate stands, dashes the best naive cosine. Right: scores by what the probe is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.detection.measures import Gate, Judged

_SUITE = "people"
_NAIVE = "name_or_cosine_5"
_LEFT_EDGE = 5e-4


def draw(gates: Mapping[str, Gate], path: Path) -> None:
    """Write the PNG; without the people's suite there is nothing to draw."""
    judged = gates["expunge"].get(_SUITE)
    if judged is None:
        return
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(15, 6.5))
    others = _scores(judged, "neighbor_level")
    groups = sorted({one.group for one in judged.outcomes if one.group.startswith("forget")})
    colours = pyplot.get_cmap("tab20")
    for number, group in enumerate(groups):
        label = group.removeprefix("forget_level3/")
        left.plot(*_curve(_scores(judged, group), others), color=colours(number % 20), label=label)
        left.plot(*_standing(judged, group), "o", color=colours(number % 20))
    if _NAIVE in gates and _SUITE in gates[_NAIVE]:
        plain = gates[_NAIVE][_SUITE]
        curve = _curve(_scores(plain, "forget"), _scores(plain, "neighbor_level"))
        left.plot(*curve, "k--", label="all, name or best cosine")
    left.set(xscale="log", xlim=(_LEFT_EDGE, 1), ylim=(0, 1.01), xlabel="neighbours wrongly caught", ylabel="caught")
    left.set_title("By the request alone: recall against false positives", loc="left", fontsize=10)
    left.legend(fontsize=7, loc="lower right")
    _histogram(right, judged)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _histogram(axis: Any, judged: Judged) -> None:
    kinds = {
        "forget, name in the prompt": [o.score for p, o in _pairs(judged, "forget") if p.get("has_name")],
        "forget, without the name": [o.score for p, o in _pairs(judged, "forget") if not p.get("has_name")],
        "neighbours": _scores(judged, "neighbor_level"),
        "benign": _scores(judged, "benign/"),
    }
    drawn = {label: scores for label, scores in kinds.items() if scores}
    weights = [[1 / len(scores)] * len(scores) for scores in drawn.values()]
    axis.hist(list(drawn.values()), bins=25, range=(0, 1), weights=weights, label=list(drawn), log=True)
    axis.set(xlabel="score of the nearest entry (0: none was near)", ylabel="share of the group")
    axis.set_title("Where the scores lie", loc="left", fontsize=10)
    axis.legend(fontsize=8)


def _pairs(judged: Judged, prefix: str) -> list[tuple[Any, Any]]:
    return [pair for pair in zip(judged.probes, judged.outcomes, strict=True) if pair[1].group.startswith(prefix)]


def _scores(judged: Judged, prefix: str) -> list[float]:
    return [one.score for one in judged.outcomes if one.group.startswith(prefix)]


def _standing(judged: Judged, group: str) -> tuple[list[float], list[float]]:
    """Where the gate stands: neighbours caught, group caught."""
    rates = []
    for prefix in ("neighbor_level", group):
        flags = [one.caught for one in judged.outcomes if one.group.startswith(prefix)]
        rates.append(sum(flags) / max(1, len(flags)))
    return [max(rates[0], _LEFT_EDGE)], [rates[1]]


def _curve(wanted: Sequence[float], others: Sequence[float]) -> tuple[list[float], list[float]]:
    """False positives and recall as the threshold falls."""
    false, true = [], []
    for threshold in sorted({*wanted, *others} - {0.0}, reverse=True):
        false.append(max(_LEFT_EDGE, sum(score >= threshold for score in others) / max(1, len(others))))
        true.append(sum(score >= threshold for score in wanted) / len(wanted))
    return false, true
