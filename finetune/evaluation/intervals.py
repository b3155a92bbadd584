"""How sure is a figure? 95 % intervals over questions, or over groups of questions that stand or fall together.

    bootstrap:  draw as many groups as there are, with replacement, 2,000 times; the middle 95 % of what comes out
    rates:      Wilson's score interval, at the effective number of questions where they come in groups

Twenty questions about one author, or ten phrasings of one question, are no twenty or ten witnesses: whoever has groups
gives them. The bootstrap never leaves the range of what was seen, so it says nothing where all scores are equal; rates,
which are often 0, have an interval that does not shrink to a point there. Everything is seeded and vectorised.
Shapes: N questions, G groups, K scores of a question, R resamples.

Sources: Efron 1979 (bootstrap); Field and Welsh 2007 (resampling clusters); Wilson 1927; Kish 1965 (design effect);
Korn and Graubard 1998 (effective numbers and t quantiles for rates).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from finetune.evaluation.judged_model import Floats

RESAMPLES = 2_000
SEED = 0

_Z95 = 1.959964
_CELLS_AT_ONCE = 4_000_000


def group_numbers(groups: Sequence[str | None] | None, count: int) -> NDArray[np.int64]:
    """[N]: the number of each question's group, from 0 on. None is a group of its own."""
    if groups is None:
        return np.arange(count)
    if len(groups) != count:
        raise ValueError(f"{count} questions have {len(groups)} groups.")
    numbers: dict[object, int] = {}
    keys = [("alone", place) if group is None else ("group", group) for place, group in enumerate(groups)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def draws(groups_G: int, *, resamples: int = RESAMPLES, seed: int = SEED) -> Iterator[Floats]:
    """How often each group is drawn in each resample: pieces [r, G] of [R, G], the same for the same seed."""
    random = np.random.default_rng(seed)
    step = max(1, _CELLS_AT_ONCE // groups_G)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = random.integers(groups_G, size=(size, groups_G)) + groups_G * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * groups_G).reshape(size, groups_G).astype(np.float64)


def bootstrap_means(
    scores: ArrayLike, groups: Sequence[str | None] | None = None, *, resamples: int = RESAMPLES, seed: int = SEED
) -> Floats:
    """[R, K]: the means of [N, K] scores (or [N]: K is 1) over the questions of the groups drawn."""
    scores_NK = np.asarray(scores, dtype=np.float64)
    if scores_NK.ndim == 1:
        scores_NK = scores_NK[:, None]
    numbers_N = group_numbers(groups, len(scores_NK))
    sizes_G = np.bincount(numbers_N).astype(np.float64)
    sums_GK = np.zeros((len(sizes_G), scores_NK.shape[1]))
    np.add.at(sums_GK, numbers_N, scores_NK)
    pieces = [
        (drawn @ sums_GK) / (drawn @ sizes_G)[:, None] for drawn in draws(len(sizes_G), resamples=resamples, seed=seed)
    ]
    return np.concatenate(pieces)


def middle_95(values_R: ArrayLike) -> tuple[float, float]:
    """The range of the middle 95 % of values."""
    low, high = np.percentile(np.asarray(values_R, dtype=np.float64), [2.5, 97.5])
    return float(low), float(high)


def mean_interval(
    scores: Sequence[float], groups: Sequence[str | None] | None = None, *, seed: int = SEED
) -> tuple[float, float] | None:
    """Of a mean; None for fewer than two groups, which tell nothing of how groups differ."""
    if len(np.unique(group_numbers(groups, len(scores)))) < 2:
        return None
    return middle_95(bootstrap_means(scores, groups, seed=seed))


def median_interval(
    values: Sequence[float], groups: Sequence[str | None] | None = None, *, seed: int = SEED
) -> tuple[float, float] | None:
    """Of a median; None for fewer than two groups. Of an even number the lower of the two in the middle is drawn."""
    numbers_N = group_numbers(groups, len(values))
    groups_G = len(np.unique(numbers_N))
    if groups_G < 2:
        return None
    order_N = np.argsort(values, kind="stable")
    sorted_N, numbers_N = np.asarray(values, dtype=np.float64)[order_N], numbers_N[order_N]
    medians: list[Floats] = []
    for drawn_rG in draws(groups_G, seed=seed):
        below_rN = np.cumsum(drawn_rG[:, numbers_N], axis=1)
        medians.append(sorted_N[(2 * below_rN >= below_rN[:, -1:]).argmax(axis=1)])
    return middle_95(np.concatenate(medians))


def rate_interval(hits: Sequence[bool], groups: Sequence[str | None] | None = None) -> tuple[float, float] | None:
    """Of a rate; None without questions. Where groups agree throughout, each counts as one question."""
    total = len(hits)
    if not total:
        return None
    rate = sum(hits) / total
    return wilson(rate, _effective_number(np.asarray(hits, dtype=np.float64), group_numbers(groups, total)))


def wilson(rate: float, number: float) -> tuple[float, float]:
    """The 95 % score interval of a rate that was seen in a number of questions, which need not be whole."""
    z2 = _Z95 * _Z95
    middle = (rate + z2 / (2 * number)) / (1 + z2 / number)
    half = _Z95 * math.sqrt(rate * (1 - rate) / number + z2 / (4 * number * number)) / (1 + z2 / number)
    # At 0 and 1 the limits are the rate itself, up to rounding.
    return min(rate, max(0.0, middle - half)), max(rate, min(1.0, middle + half))


def _effective_number(hits_N: Floats, numbers_N: NDArray[np.int64]) -> float:
    """How many independent questions would tell as much as these: at least 1, at most N."""
    total, groups_G = len(hits_N), int(numbers_N.max()) + 1
    if groups_G == total:
        return float(total)
    if groups_G == 1:
        return 1.0
    rate = float(hits_N.mean())
    simple = rate * (1 - rate) / total
    if simple == 0.0:
        return float(groups_G)
    residuals_G = np.bincount(numbers_N, weights=hits_N - rate)
    clustered = groups_G / (groups_G - 1) * float(np.square(residuals_G).sum()) / total**2
    few_groups = (_Z95 / float(stats.t.ppf(0.975, groups_G - 1))) ** 2
    return max(1.0, total / max(1.0, clustered / simple) * few_groups)
