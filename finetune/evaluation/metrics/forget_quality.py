"""Can the model be told from one that never learnt the forget set? Two samples of truth ratios compared.

    ks_distance     D = sup_r |F_model(r) - F_retain(r)|      over the same questions put to both models
    forget_quality  p of the two-sample Kolmogorov-Smirnov test of D; above .05 they cannot be told apart

Paper: TOFU (arXiv:2401.06121). The p-value falls with the number of questions and says nothing of how far apart the
models are, so the distance stands beside it. 95 % of the distance: D +- the 95th percentile, over resampled groups of
questions, of the largest deviation of both distribution functions together; the p-value's limits are those of the
distance, looked up in the test's distribution, which takes questions as independent.
Shapes: N questions, G groups, P places on the axis of truth ratios.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import stats

from finetune.evaluation.intervals import draws, group_numbers
from finetune.evaluation.judged_model import Fact, Floats
from finetune.evaluation.metrics.averages import nothing_of
from finetune.evaluation.metrics.evidence import Evidence
from finetune.evaluation.metrics.protocol import Absent, Measured, Outcome
from finetune.evaluation.metrics.scores import truth_ratio

_FEWEST = 4  # of fewer, even samples wholly apart give a p-value above .05
_PLACES = 512  # more make the interval no finer than its resamples are


@dataclass(frozen=True, kw_only=True, slots=True)
class ForgetQuality:
    """The p-value."""

    name: ClassVar[str] = "forget_quality"
    version: ClassVar[int] = 2
    paper: ClassVar[str] = "arXiv:2401.06121"
    needs: ClassVar[frozenset[Fact]] = frozenset({Fact.TOKENS, Fact.OTHER_TOKENS})

    def measure(self, evidence: Evidence) -> Outcome:
        pairs = _paired(evidence)
        if isinstance(pairs, Absent):
            return pairs
        if len(pairs.model_N) < _FEWEST:
            return Absent(reason=f"The test cannot tell any two models apart by fewer than {_FEWEST} questions.")
        p_value = float(stats.ks_2samp(pairs.model_N, pairs.retain_N).pvalue)
        distance_ci95 = _distance_interval(pairs)
        if distance_ci95 is None:
            return Measured(value=p_value, n=len(pairs.model_N), ci95=None)
        high, low = (float(stats.kstwo.sf(limit, max(1, round(len(pairs.model_N) / 2)))) for limit in distance_ci95)
        return Measured(value=p_value, n=len(pairs.model_N), ci95=(min(low, p_value), max(high, p_value)))


@dataclass(frozen=True, kw_only=True, slots=True)
class KsDistance:
    """The distance, in 0..1."""

    name: ClassVar[str] = "ks_distance"
    version: ClassVar[int] = 1
    paper: ClassVar[str] = "arXiv:2401.06121"
    needs: ClassVar[frozenset[Fact]] = frozenset({Fact.TOKENS, Fact.OTHER_TOKENS})

    def measure(self, evidence: Evidence) -> Outcome:
        pairs = _paired(evidence)
        if isinstance(pairs, Absent):
            return pairs
        return Measured(value=_distance(pairs), n=len(pairs.model_N), ci95=_distance_interval(pairs))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Pairs:
    """The truth ratios of the same questions."""

    model_N: Floats
    retain_N: Floats
    groups: list[str | None]


def _paired(evidence: Evidence) -> _Pairs | Absent:
    if evidence.retain_model is None:
        return Absent(reason="It compares with a retain model, and none was given.")
    judged, retained = evidence.judged, evidence.retain_model.judged
    if (why := retained.lacks(ForgetQuality.needs)) is not None:
        return Absent(reason=f"Of the retain model: {why}")
    if judged.ids != retained.ids:
        return Absent(reason="The retain model was asked other questions than the model under judgement.")
    ratios = [
        (truth_ratio(one), truth_ratio(other), one.asked.group)
        for one, other in zip(judged.answered, retained.answered, strict=True)
    ]
    kept = [(one, other, group) for one, other, group in ratios if one is not None and other is not None]
    if not kept:
        return nothing_of(judged, "wrong answers with log-probabilities of both models")
    return _Pairs(
        model_N=np.array([one for one, _, _ in kept]),
        retain_N=np.array([other for _, other, _ in kept]),
        groups=[group for _, _, group in kept],
    )


def _distance(pairs: _Pairs) -> float:
    return float(stats.ks_2samp(pairs.model_N, pairs.retain_N).statistic)


def _distance_interval(pairs: _Pairs) -> tuple[float, float] | None:
    numbers_N = group_numbers(pairs.groups, len(pairs.model_N))
    sizes_G = np.bincount(numbers_N).astype(np.float64)
    if len(sizes_G) < 2:
        return None
    places_P = np.unique(np.concatenate([pairs.model_N, pairs.retain_N]))
    if len(places_P) > _PLACES:
        places_P = places_P[np.linspace(0, len(places_P) - 1, _PLACES).round().astype(np.int64)]
    apart_NP = (pairs.model_N[:, None] <= places_P).astype(np.float64) - (pairs.retain_N[:, None] <= places_P)
    apart_GP = np.zeros((len(sizes_G), len(places_P)))
    np.add.at(apart_GP, numbers_N, apart_NP)
    seen_P = apart_NP.mean(axis=0)
    deviations_R = np.concatenate(
        [np.abs((drawn @ apart_GP) / (drawn @ sizes_G)[:, None] - seen_P).max(axis=1) for drawn in draws(len(sizes_G))]
    )
    distance, spread = _distance(pairs), float(np.percentile(deviations_R, 95))
    return max(0.0, distance - spread), min(1.0, distance + spread)
