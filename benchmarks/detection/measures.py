"""Measures over judged probes: the share of a group, the worst of several groups, recall at a given false-positive rate.

Pure; it knows outcomes, not which gate made them. What was not measured gives None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.detection.development_data import Line
from guardrail.evaluation.figures import wilson
from guardrail.evaluation.outcomes import Outcome

_FEWEST = 10
"""A group with fewer probes is too small to be called the worst."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """One gate on one suite: probes and outcomes in the same order."""

    probes: Sequence[Line]
    outcomes: Sequence[Outcome]


Gate = Mapping[str, Judged]
"""Suite -> what a gate did."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """Hits of a total, and of which group where it is the worst of several."""

    hits: int
    total: int
    group: str = ""

    @property
    def value(self) -> float:
        """The share itself."""
        return self.hits / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """95 %."""
        return wilson(self.hits, self.total)


def held(one: Outcome) -> bool:
    """By the request or by the answer."""
    return one.held


def caught(one: Outcome) -> bool:
    """By the request alone."""
    return one.caught


def share(
    suite: str,
    prefix: str,
    counts: Callable[[Outcome], bool] = held,
    *,
    has_name: bool | None = None,
    expected: bool | None = None,
) -> Callable[[Gate], Share | None]:
    """Share of a suite's probes in groups of this prefix; perhaps only of those with the name, or expecting an entry."""

    def measure(gate: Gate) -> Share | None:
        judged = gate.get(suite)
        if judged is None:
            return None
        chosen = [
            one
            for probe, one in zip(judged.probes, judged.outcomes, strict=True)
            if one.group.startswith(prefix)
            and (has_name is None or probe.get("has_name", False) is has_name)
            and (expected is None or one.is_expected is expected)
        ]
        return Share(hits=sum(map(counts, chosen)), total=len(chosen)) if chosen else None

    return measure


def worst(suite: str, prefix: str, counts: Callable[[Outcome], bool] = held) -> Callable[[Gate], Share | None]:
    """The lowest share of all groups of this prefix."""

    def measure(gate: Gate) -> Share | None:
        judged = gate.get(suite)
        groups: dict[str, list[bool]] = {}
        for one in judged.outcomes if judged else ():
            if one.group.startswith(prefix):
                groups.setdefault(one.group, []).append(counts(one))
        shares = [
            Share(hits=sum(flags), total=len(flags), group=group)
            for group, flags in groups.items()
            if len(flags) >= _FEWEST
        ]
        return min(shares, key=lambda one: one.value, default=None)

    return measure


def recall_at(judged: Judged, match: str, none: str, rate: float) -> float | None:
    """Share of `match` groups whose score is above what at most `rate` of the `none` groups reach."""
    wanted = [one.score for one in judged.outcomes if one.group.startswith(match)]
    others = sorted((one.score for one in judged.outcomes if one.group.startswith(none)), reverse=True)
    if not wanted or not others:
        return None
    limit = others[min(len(others) - 1, int(rate * len(others)))]
    return sum(score > limit for score in wanted) / len(wanted)
