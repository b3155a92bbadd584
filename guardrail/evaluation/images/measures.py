"""Shares, medians and differences with their 95 % intervals. Pure.

Every interval counts pictures. Shares of pictures have Wilson's score interval; shares of attributes (a picture may follow
two of its three) have it, too, over as many trials as there are pictures: no spread over 0..1 is wider than that of yes and
no. Pictures of one prompt differ by their seeds alone, so intervals over few prompts with many seeds are too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from guardrail.evaluation.figures import wilson

_Z95: Final = 1.959964
_RESAMPLES: Final = 1000


class Figure(BaseModel):
    """A value, the number of pictures behind it, and its 95 % interval; None where there is none to tell."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    n: int
    ci95: tuple[float, float] | None = None


def share(parts: Sequence[float]) -> Figure | None:
    """The mean of values of 0..1, one a picture; None of nothing."""
    if not parts:
        return None
    total = math.fsum(parts)
    low, high = wilson(round(total), len(parts))
    value = round(total / len(parts), 4)
    return Figure(value=value, n=len(parts), ci95=(min(low, value), max(high, value)))


def mean_change(before: Sequence[float], after: Sequence[float]) -> Figure | None:
    """How much the mean of the same pictures' values rose; None of nothing."""
    if not before:
        return None
    changes = np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)
    value = float(changes.mean())
    half = _Z95 * float(changes.std(ddof=1)) / math.sqrt(len(changes)) if len(changes) > 1 else None
    ci95 = None if half is None else (round(value - half, 4), round(value + half, 4))
    return Figure(value=round(value, 4), n=len(changes), ci95=ci95)


def mean(values: Sequence[float]) -> Figure | None:
    """The mean with a normal interval; None of nothing."""
    return mean_change([0.0] * len(values), values)


def median(values: Sequence[float]) -> Figure | None:
    """The median, its interval by order statistics (no distribution is assumed); None of nothing."""
    if not values:
        return None
    ordered, n = sorted(values), len(values)
    half = _Z95 * math.sqrt(n) / 2
    low, high = math.floor(n / 2 - half) - 1, math.ceil(n / 2 + half)
    ci95 = (round(ordered[low], 4), round(ordered[high], 4)) if low >= 0 and high < n else None
    return Figure(value=round(float(np.median(ordered)), 4), n=n, ci95=ci95)


def median_ratio(values: Sequence[float], base: Sequence[float]) -> Figure | None:
    """The median of `values` over that of `base`, with a bootstrap interval; None of nothing."""
    if not values or not base or not float(np.median(base)):
        return None
    rng = np.random.default_rng(0)
    above, below = (np.asarray(one, dtype=np.float64) for one in (values, base))
    drawn = [
        np.median(rng.choice(above, len(above))) / np.median(rng.choice(below, len(below))) for _ in range(_RESAMPLES)
    ]
    low, high = np.quantile(drawn, (0.025, 0.975))
    value = float(np.median(above) / np.median(below))
    return Figure(value=round(value, 4), n=len(above), ci95=(round(float(low), 4), round(float(high), 4)))
