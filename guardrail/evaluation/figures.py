"""From outcomes to the figures of a detection report. Pure.

Rates are shares in 0..1; `recall` is over probes that expect an entry, `false_positive_rate` over those that expect none.
A request counts as caught if it would have been treated or refused, an answer if an inspector would have stopped it;
`either` counts whichever came first, and a probe without an answer by its request alone. `right_entry_rate` is the share
of the caught whose entries include an expected one, `best_entry_rate` of those where none scores higher. `ci95` is that
of `either_rate`. A figure that was not measured is None, and absent in the file.

Sources: Wilson 1927, the score interval; Mann and Whitney 1947, the area under the curve as a rank sum.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from guardrail.evaluation.outcomes import Outcome

_Z95 = 1.959964


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputFigures(_Figures):
    """What the request alone shows."""

    recall: float | None = None
    false_positive_rate: float | None = None
    wrong_entry_rate: float | None = None
    auroc: float | None = None


class Rates(_Figures):
    """Of the answer, or of either."""

    recall: float | None = None
    false_positive_rate: float | None = None


class Overall(_Figures):
    """Over all groups."""

    input: InputFigures
    output: Rates | None = None
    either: Rates


class GroupFigures(_Figures):
    """One group of probes that expect alike."""

    n: int
    expected: Literal["match", "none"]
    input_rate: float
    output_rate: float | None = None
    either_rate: float
    right_entry_rate: float | None = None
    best_entry_rate: float | None = None
    auroc: float | None = None
    ci95: tuple[float, float]
    input_ci95: tuple[float, float]


class Spread(_Figures):
    """Median and 99th percentile, in milliseconds."""

    p50: float
    p99: float


class DetectionReport(_Figures):
    """The content of a result file."""

    config: dict[str, Any]
    versions: dict[str, str]
    entries: int
    probes: int
    overall: Overall
    groups: dict[str, GroupFigures]
    register_ms: Spread | None = None
    match_ms: Spread
    memory_ready_s: float | None = None
    index_bytes: int | None = None


def overall_of(outcomes: Sequence[Outcome]) -> Overall:
    """The figures over all probes."""
    wanted = [one for one in outcomes if one.is_expected]
    others = [one for one in outcomes if not one.is_expected]
    caught = [one for one in wanted if one.caught]
    has_answers = any(one.told is not None for one in outcomes)
    return Overall(
        input=InputFigures(
            recall=_share([one.caught for one in wanted]),
            false_positive_rate=_share([one.caught for one in others]),
            wrong_entry_rate=_share([not one.is_right for one in caught]),
            auroc=auroc([one.score for one in wanted], [one.score for one in others]),
        ),
        output=Rates(recall=_told(wanted), false_positive_rate=_told(others)) if has_answers else None,
        either=Rates(
            recall=_share([one.held for one in wanted]), false_positive_rate=_share([one.held for one in others])
        ),
    )


def groups_of(outcomes: Sequence[Outcome]) -> dict[str, GroupFigures]:
    """The figures by group, in order of appearance. A label whose probes do not all expect alike makes two groups."""
    mixed = {
        label for label, count in Counter(label for label, _ in {_key(one) for one in outcomes}).items() if count > 1
    }
    members: dict[str, list[Outcome]] = {}
    for one in outcomes:
        suffix = "" if one.group not in mixed else " (match)" if one.is_expected else " (none)"
        members.setdefault(one.group + suffix, []).append(one)
    others = [one.score for one in outcomes if not one.is_expected]
    return {label: _group(group, others) for label, group in members.items()}


def spread_of(values: Sequence[float]) -> Spread:
    """Median and 99th percentile of values, at least one."""
    return Spread(p50=round(percentile(values, 50), 3), p99=round(percentile(values, 99), 3))


def percentile(values: Sequence[float], percent: float) -> float:
    """The percentile of values, at least one, between the two nearest ranks."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def wilson(hits: int, total: int) -> tuple[float, float]:
    """The 95 % score interval of a share."""
    if total == 0:
        return 0.0, 1.0
    share, z2 = hits / total, _Z95 * _Z95
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total)) / (1 + z2 / total)
    return round(max(0.0, middle - half), 4), round(min(1.0, middle + half), 4)


def auroc(positives: Sequence[float], negatives: Sequence[float]) -> float | None:
    """The chance that a positive scores above a negative, ties counting half; None where one side is empty."""
    if not positives or not negatives:
        return None
    above = Counter(positives)
    below = Counter(negatives)
    passed, wins = 0, 0.0
    for score in sorted(above.keys() | below.keys()):
        wins += above[score] * (passed + below[score] / 2)
        passed += below[score]
    return round(wins / (len(positives) * len(negatives)), 4)


def _key(one: Outcome) -> tuple[str, bool]:
    return one.group, one.is_expected


def _group(members: Sequence[Outcome], others: Sequence[float]) -> GroupFigures:
    is_match = members[0].is_expected
    caught = [one for one in members if one.caught]
    held = sum(one.held for one in members)
    return GroupFigures(
        n=len(members),
        expected="match" if is_match else "none",
        input_rate=round(len(caught) / len(members), 4),
        output_rate=_told(members),
        either_rate=round(held / len(members), 4),
        right_entry_rate=_share([one.is_right for one in caught]) if is_match else None,
        best_entry_rate=_share([one.is_best for one in caught]) if is_match else None,
        auroc=auroc([one.score for one in members], others) if is_match else None,
        ci95=wilson(held, len(members)),
        input_ci95=wilson(len(caught), len(members)),
    )


def _told(members: Sequence[Outcome]) -> float | None:
    return _share([one.told for one in members if one.told is not None])


def _share(flags: Sequence[bool]) -> float | None:
    return round(sum(flags) / len(flags), 4) if flags else None
