"""A probe per topic or hazard: does a request need knowledge of this topic, or of another field?

Nearest neighbours miss most questions of a topic, since two questions of one subject seldom lie near each other. A
probe is a direction instead: linear discriminant analysis with a covariance shared by all probes, and, as in a
classifier over many fields, the topic must also win against every other field of knowledge in the background:

    v(x, m) = (x - mu)' S^-1 (m - mu) - (m - mu)' S^-1 (m - mu) / 2        evidence for a class with mean m
    raw(x)  = v(x, topic) - log(1 + sum over fields of exp v(x, field) + exp v(x, neighbours))

A field that wins many of the topic's own exemplars is the topic itself, or holds it, and is left out for it. The entry's
`neighbors`, if any, are one more field, and never left out. Scores are calibrated on the background (`calibration`),
less its few texts that look more like the topic than half of its own exemplars do: a wide background touches any topic.

It does not know entries, texts or thresholds. A probe is a mean and a matrix product: fitting takes a few milliseconds,
and all probes are asked at once. Shapes: N texts, D dimensions, K fields. The hyper-parameters were chosen over all eight
development topics together, none of whose texts stands in the background: `benchmarks/tune_probe.py`.

    background = Background.build(vectors_ND, fields)                      # once a process, about 50 ms
    probe = fit_probe(exemplars_ND, neighbors_ND, background, described_ND=name_and_description_ND)
    probe.scores(vectors_ND)                                               # [N], 0 to 1; many probes: `probe_bank`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from retrieval.calibration import Calibrator, score_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrieval.embedders.protocol import Vectors

    Floats = NDArray[np.float64]

FEWEST_EXEMPLARS = 5
"""Exemplars from which an entry of any kind gets a probe; topics and hazards always may."""

_SPREAD = 0.6
"""Share of the covariance that is taken to be alike in all directions."""
_WITHIN = 0.5
"""Share of the rest that is the spread within fields, not over all texts."""
_FIELD_PRIOR_TEXTS = 5.0
_DESCRIBED_WEIGHT = 2.0
"""How many exemplars a text that describes the entry counts for: one such text says more than one question."""
_OWN_FIELD_SHARE = 0.35
_MOST_OWN_FIELDS = 3
_MOST_SET_ASIDE = 0.005
"""Greatest share of the background that may be taken to be on the topic."""

_NOTHING_KNOWN = Calibrator(ordered=np.zeros(1), tail_start=0.0, tail_share=1.0, scale=1.0, shape=0.0)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Background:
    """Benign texts in the space of one embedder, and what follows from them for every probe."""

    vectors_ND: Floats
    field_N: NDArray[np.int64]
    mean_D: Floats
    precision_DD: Floats
    fields: tuple[str, ...]
    evidence_NK: Floats
    weights_DK: Floats
    bias_K: Floats

    @classmethod
    def build(cls, vectors_ND: Vectors, fields: Sequence[str]) -> Self:
        """From unit rows and each row's field, "" for none. Raises `ValueError` where there is nothing to learn from."""
        names = tuple(sorted({field for field in fields if field}))
        if len(fields) != len(vectors_ND) or len(names) < 2:
            raise ValueError("A background needs a field for every text, and texts of at least two fields.")
        rows_ND = np.asarray(vectors_ND, dtype=np.float64)
        place = {name: number for number, name in enumerate(names)}
        field_N = np.array([place.get(field, -1) for field in fields], dtype=np.int64)
        mean_D = rows_ND.mean(axis=0)
        means_KD = np.stack([_mean(rows_ND[field_N == k], mean_D) for k in range(len(names))])
        pure_KD = np.stack([rows_ND[field_N == k].mean(axis=0) for k in range(len(names))])
        around_ND = rows_ND[field_N >= 0] - pure_KD[field_N[field_N >= 0]]
        over_ND = rows_ND - mean_D
        within_DD = around_ND.T @ around_ND / len(around_ND)
        total_DD = over_ND.T @ over_ND / len(over_ND)
        spread_DD = _WITHIN * within_DD + (1 - _WITHIN) * total_DD
        dim = len(mean_D)
        even = np.trace(spread_DD) / dim
        if even <= 0:
            raise ValueError("The background's texts are all alike; probes need texts that differ.")
        precision_DD = np.linalg.inv((1 - _SPREAD) * spread_DD + _SPREAD * even * np.eye(dim))
        weights_DK = precision_DD @ (means_KD - mean_D).T
        bias_K = -0.5 * np.einsum("kd,dk->k", means_KD - mean_D, weights_DK)
        return cls(
            vectors_ND=rows_ND,
            field_N=field_N,
            mean_D=mean_D,
            precision_DD=precision_DD,
            fields=names,
            evidence_NK=over_ND @ weights_DK + bias_K,
            weights_DK=weights_DK,
            bias_K=bias_K,
        )

    def direction(self, mean_D: Floats) -> tuple[Floats, float]:
        """Weights and bias of the evidence for a class with this mean."""
        weights_D = self.precision_DD @ (mean_D - self.mean_D)
        return weights_D, float(-0.5 * (mean_D - self.mean_D) @ weights_D)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Probe:
    """What one entry adds to the background. `others_K` are the fields it must win against."""

    background: Background
    weights_D: Floats
    bias: float
    neighbor_weights_D: Floats
    neighbor_bias: float
    others_K: NDArray[np.bool_]
    calibrator: Calibrator

    def scores(self, vectors_ND: Vectors | Floats) -> Floats:
        """0 to 1: 1/2 where one benign request in 1,000 scores as high, 2/3 for one in 10,000; see `score_of`."""
        return score_of(self.calibrator.false_positive_rate(self.raw(vectors_ND)))

    def raw(self, vectors_ND: Vectors | Floats) -> Floats:
        """[N]: the evidence for the topic less that for everything else, uncalibrated."""
        over_ND = np.asarray(vectors_ND, dtype=np.float64) - self.background.mean_D
        return weigh(
            over_ND @ self.weights_D + self.bias,
            over_ND @ self.neighbor_weights_D + self.neighbor_bias,
            over_ND @ self.background.weights_DK + self.background.bias_K,
            self.others_K,
        )


def fit_probe(
    positives_ND: Vectors,
    neighbors_ND: Vectors,
    background: Background,
    *,
    described_ND: Vectors | None = None,
) -> Probe:
    """A probe from unit rows: exemplars, hard negatives (may be empty), and texts that describe the entry.

    Raises `ValueError` without any exemplar or description.
    """
    dim = len(background.mean_D)
    over_ND = np.asarray(positives_ND, dtype=np.float64).reshape(-1, dim) - background.mean_D
    described = np.empty((0, dim)) if described_ND is None else np.asarray(described_ND, dtype=np.float64)
    weight = len(over_ND) + _DESCRIBED_WEIGHT * len(described)
    if weight == 0:
        raise ValueError("A probe needs exemplars, or texts that describe the entry.")
    total_D = over_ND.sum(axis=0) + _DESCRIBED_WEIGHT * (described - background.mean_D).sum(axis=0)
    weights_D, bias = background.direction(background.mean_D + total_D / weight)
    neighbors = np.asarray(neighbors_ND, dtype=np.float64).reshape(-1, dim)
    neighbor_weights_D, neighbor_bias = np.zeros(dim), -np.inf
    if len(neighbors):
        neighbor_weights_D, neighbor_bias = background.direction(_mean(neighbors, background.mean_D))
    unseen_N = _unseen_evidence(over_ND, total_D, weight, background)
    fields_NK = over_ND @ background.weights_DK + background.bias_K
    others_K = ~_own_fields(unseen_N, fields_NK)
    probe = Probe(
        background=background,
        weights_D=weights_D,
        bias=bias,
        neighbor_weights_D=neighbor_weights_D,
        neighbor_bias=neighbor_bias,
        others_K=others_K,
        calibrator=_NOTHING_KNOWN,
    )
    benign_N = (background.field_N < 0) | others_K[background.field_N]
    benign = np.sort(probe.raw(background.vectors_ND)[benign_N])
    if len(unseen_N):
        neighbor_N = over_ND @ neighbor_weights_D + neighbor_bias
        typical = float(np.median(weigh(unseen_N, neighbor_N, fields_NK, others_K)))
        on_topic = min(int(np.count_nonzero(benign > typical)), int(_MOST_SET_ASIDE * len(benign)))
        benign = benign[: len(benign) - on_topic]
    return replace(probe, calibrator=Calibrator.fit(benign))


def _mean(rows_ND: Floats, towards_D: Floats) -> Floats:
    """The rows' mean, drawn towards the background's where they are few."""
    total_D = rows_ND.sum(axis=0) + _FIELD_PRIOR_TEXTS * towards_D
    return np.asarray(total_D / (len(rows_ND) + _FIELD_PRIOR_TEXTS), dtype=np.float64)


def _unseen_evidence(over_ND: Floats, total_D: Floats, weight: float, background: Background) -> Floats:
    """[N]: the evidence for the topic in each exemplar, by a probe that was not shown it; empty for a lone text."""
    if weight < 2:
        return np.empty(0)
    means_ND = (total_D - over_ND) / (weight - 1)
    weights_ND = means_ND @ background.precision_DD
    return np.asarray(((over_ND - means_ND / 2) * weights_ND).sum(axis=1), dtype=np.float64)


def _own_fields(unseen_N: Floats, fields_NK: Floats) -> NDArray[np.bool_]:
    """[K]: fields that win many of the exemplars, so that they are the topic itself, or hold it."""
    own_K = np.zeros(fields_NK.shape[1], dtype=np.bool_)
    if len(unseen_N):
        won_K = (fields_NK > unseen_N[:, None]).mean(axis=0)
        best_K = np.argsort(-won_K, kind="stable")[:_MOST_OWN_FIELDS]
        own_K[best_K] = won_K[best_K] > _OWN_FIELD_SHARE
    return own_K


def weigh(own: Floats, neighbor: Floats, fields_NK: Floats, others: NDArray[np.bool_] | Floats) -> Floats:
    """The topic's evidence less that of everything else; `own` and `neighbor` are [N] with [K], or [N, P] with [K, P]."""
    top_N = np.maximum(fields_NK.max(axis=1), 0.0)
    top = top_N if own.ndim == 1 else top_N[:, None]
    # Relative to the greatest field, so that nothing overflows; a field left out may be the greatest, hence the "1".
    sums = np.exp(fields_NK - top_N[:, None]) @ np.asarray(others, dtype=np.float64) + np.exp(-top)
    return np.asarray(own - np.logaddexp(top + np.log(sums), neighbor), dtype=np.float64)
