"""Does a picture show what an entry's reference pictures show? Pure algebra on embeddings, with a threshold per entry.

Two readings of references R, held against other pictures N:

    nearest    max_i <x, r_i>      the very thing: a logo, a face, one object
    contrast   <x, w> + b          what sets R apart, whatever else its pictures show by chance: a colour, a style

    w, b = argmin  1/2 mean_R (<x, w> + b - 1)^2 + 1/2 mean_N (<x, w> + b + 1)^2 + l |w|^2

Both sides weigh the same, however few references there are. Both readings are measured on pictures left out one at a time
(for the contrast in closed form, Allen 1974: (f_i - h_i y_i) / (1 - h_i)); the one that parts R from N best is taken, and
its threshold lies as many deviations below R's median as it lies above N's. Some of N may show the entry too (everyday
pictures and those of other entries do): N is described by median and median deviation, and what of it lies clearly on the
entry's side is left out of a second fit. With too few pictures on either side, or where no reading parts them, nearness
to a reference or to their middle decides, from a cosine that the caller names. It does not know files, entries or stores.
Shapes: R references, N others, P = R + N, Q queries, K directions, D dimensions; rows have length 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Rows = NDArray[np.float32]

FEWEST_REFERENCES: Final = 4
FEWEST_OTHERS: Final = 20
LINE: Final = 0.5
"""Score at an entry's threshold."""

_RIDGES: Final = (0.1, 1.0)
"""l as a share of the pictures' mean variance along a dimension."""
_LEAST_SEPARATION: Final = 0.5
"""Deviations to either side of the threshold; with fewer a reading says nothing. Measured on a small encoder with 4 to 32
references: 1.0 left half of the entries with 4 references to the cosine, which then caught a tenth of their pictures."""
_CLEAR_SEPARATION: Final = 1.0
"""From here on it can be said which of N show the entry."""
_PRIOR_REFERENCES: Final = 4.0
"""The others' spread counts for the references' as if it were measured on so many of them."""
_MOST_LEFT_OUT: Final = 0.45
_WORDS_DEVIATIONS: Final = 4.0
_MAD_TO_DEVIATION: Final = 1.4826
_TINY: Final = 1e-6
_USUAL: Final = 0.9
"""Score of an ordinary picture of the entry."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Likeness:
    """A fitted entry. `rows_KD`: references to be near to, or the one direction of a contrast, which has a `bias`.

    `separation` is 0 where the caller's cosine decides.
    """

    reading: Literal["nearest", "contrast"]
    rows_KD: Rows
    threshold: float
    scale: float
    bias: float = 0.0
    separation: float = 0.0

    @classmethod
    def fit(cls, references_RD: Rows, others_ND: Rows, *, default: float) -> Self:
        """`default`: the cosine that decides where nothing can be measured. Needs at least one reference."""
        if len(references_RD) < FEWEST_REFERENCES or len(others_ND) < FEWEST_OTHERS:
            return cls._by_default(references_RD, default)
        best = max(cls._nearest(references_RD, others_ND), cls._contrast(references_RD, others_ND), key=_separation)
        return best if best.separation >= _LEAST_SEPARATION else cls._by_default(references_RD, default)

    def scores(self, queries_QD: Rows) -> Floats:
        """One score a query in 0..1."""
        return self.score_of((queries_QD @ self.rows_KD.T).max(axis=1) + self.bias)

    def score_of(self, raw: ArrayLike) -> Floats:
        """A raw reading as a score in 0..1, `LINE` at the threshold."""
        steps = np.clip((np.asarray(raw, dtype=np.float64) - self.threshold) / self.scale, -60.0, 60.0)
        return np.asarray(1.0 / (1.0 + np.exp(-steps)), dtype=np.float64)

    @classmethod
    def _by_default(cls, references_RD: Rows, default: float) -> Self:
        middle_D = references_RD.mean(axis=0)
        rows = np.concatenate([references_RD, (middle_D / max(float(np.linalg.norm(middle_D)), _TINY))[None]])
        return cls(reading="nearest", rows_KD=rows, threshold=default, scale=_scale(1.0 - default, at=0.99))

    @classmethod
    def _nearest(cls, references_RD: Rows, others_ND: Rows) -> Self:
        likeness_RR = references_RD @ references_RD.T
        np.fill_diagonal(likeness_RR, -np.inf)
        threshold, usual, separation = _parted(likeness_RR.max(axis=1), (others_ND @ references_RD.T).max(axis=1))
        return cls(
            reading="nearest",
            rows_KD=references_RD,
            threshold=threshold,
            scale=_scale(usual - threshold, at=_USUAL),
            separation=separation,
        )

    @classmethod
    def _contrast(cls, references_RD: Rows, others_ND: Rows) -> Self:
        first = cls._contrast_once(references_RD, others_ND)
        if first.separation < _CLEAR_SEPARATION:
            return first
        shows_N = first.scores(others_ND) > (LINE + _USUAL) / 2
        if not shows_N.any() or shows_N.mean() > _MOST_LEFT_OUT or (~shows_N).sum() < FEWEST_OTHERS:
            return first
        return cls._contrast_once(references_RD, others_ND[~shows_N])

    @classmethod
    def _contrast_once(cls, references_RD: Rows, others_ND: Rows) -> Self:
        best: Self | None = None
        for direction_D, bias, left_out_P in _balanced_ridge(references_RD, others_ND):
            own_R, other_N = left_out_P[: len(references_RD)], left_out_P[len(references_RD) :]
            threshold, usual, separation = _parted(own_R, other_N)
            if best is None or separation > best.separation:
                best = cls(
                    reading="contrast",
                    rows_KD=direction_D[None].astype(np.float32),
                    threshold=threshold,
                    scale=_scale(usual - threshold, at=_USUAL),
                    bias=bias,
                    separation=separation,
                )
        assert best is not None  # noqa: S101 - there are ridges
        return best


def against_words(pictures_QD: Rows, words_WD: Rows, plain_PD: Rows) -> Floats:
    """By how much each picture is nearer to an entry's words than to plain ones: a difference of cosines [Q]."""
    own_Q = (pictures_QD @ words_WD.T).max(axis=1)
    return np.asarray(own_Q - (pictures_QD @ plain_PD.T).max(axis=1), dtype=np.float64)


def words_threshold(margins_N: Floats, *, least: float, most: float) -> float:
    """A difference of cosines clearly above that of other pictures, where there are enough of them; within limits,
    as some of them may show the entry too."""
    if len(margins_N) < FEWEST_OTHERS:
        return least
    middle, deviation = _middle(margins_N)
    return min(most, max(least, middle + _WORDS_DEVIATIONS * deviation))


def _balanced_ridge(references_RD: Rows, others_ND: Rows) -> list[tuple[Floats, float, Floats]]:
    """For each ridge w [D], b and every picture's value under the fit without it [P], references first.

    A: the centred pictures times the root of their weights. w = (A^T A + l)^-1 A^T y, or A^T (A A^T + l)^-1 y where there
    are fewer pictures than dimensions.
    """
    counts = len(references_RD), len(others_ND)
    pictures_PD = np.concatenate([references_RD, others_ND]).astype(np.float64)
    weight_P = np.repeat([0.5 / counts[0], 0.5 / counts[1]], counts)
    wanted_P = np.repeat([1.0, -1.0], counts)  # their weighted mean is 0
    mean_D, root_P = weight_P @ pictures_PD, np.sqrt(weight_P)
    weighted_PD = root_P[:, None] * (pictures_PD - mean_D)
    is_wide = weighted_PD.shape[0] < weighted_PD.shape[1]
    gram = weighted_PD @ weighted_PD.T if is_wide else weighted_PD.T @ weighted_PD
    variance = float(np.trace(gram)) / pictures_PD.shape[1]
    fits: list[tuple[Floats, float, Floats]] = []
    for ridge in _RIDGES:
        inverse = np.linalg.inv(gram + max(ridge * variance, _TINY) * np.eye(len(gram)))
        solver_DP = weighted_PD.T @ inverse if is_wide else inverse @ weighted_PD.T
        direction_D = solver_DP @ (root_P * wanted_P)
        bias = -float(mean_D @ direction_D)
        leverage_P = weight_P + (weighted_PD * solver_DP.T).sum(axis=1)
        left_out_P = (pictures_PD @ direction_D + bias - leverage_P * wanted_P) / np.maximum(1 - leverage_P, _TINY)
        fits.append((direction_D, bias, left_out_P))
    return fits


def _parted(own_R: ArrayLike, other_N: ArrayLike) -> tuple[float, float, float]:
    """Threshold, the references' median, and by how many deviations the threshold lies from either side."""
    own = np.asarray(own_R, dtype=np.float64)
    middle, deviation = _middle(np.asarray(other_N, dtype=np.float64))
    usual, count = float(np.median(own)), len(own)
    within = float(own.var(ddof=1)) * count + deviation**2 * _PRIOR_REFERENCES
    separation = (usual - middle) / (deviation + math.sqrt(within / (count + _PRIOR_REFERENCES)))
    return middle + separation * deviation, usual, separation


def _middle(values: Floats) -> tuple[float, float]:
    """Median, and the standard deviation that the median deviation stands for."""
    middle = float(np.median(values))
    return middle, max(float(np.median(np.abs(values - middle))) * _MAD_TO_DEVIATION, _TINY)


def _separation(likeness: Likeness) -> float:
    return likeness.separation


def _scale(distance: float, *, at: float) -> float:
    """So that what lies `distance` above the threshold has the score `at`."""
    return max(distance, _TINY) / math.log(at / (1 - at))
