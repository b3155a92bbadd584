"""What a score is worth: the share of benign requests that score at least as high, and the threshold for such a share.

The meaning of every calibrated score is that one number, the false-positive rate: "of a hundred thousand requests that
have nothing to do with the entry, so many would score this high". It is measured on background texts, so it holds for
traffic that is like them; requests that lie near the entry are rarer there than in a hostile test, and score higher.

Where the sample is dense the rate is counted, with split conformal prediction's correction (Vovk et al. 2005): of n
benign scores, k reach s, so a new one does with probability (k + 1) / (n + 1) at most. That can promise no less than
1 / (n + 1). Rates below the densest twentieth are therefore extrapolated: the excesses over the 95 % quantile follow a
generalised Pareto law (Pickands 1975), fitted by probability-weighted moments (Hosking & Wallis 1987). Its shape is kept
between an exponential tail and a heavier one and drawn towards the exponential where the tail holds few samples, so an
extrapolated threshold rather lies too high than too low. From 2,000 texts a rate of 0.05 % is such an estimate: right
within a factor of about two, not a guarantee.

It does not know probes, entries or what is scored. Rates are shares between 0 and 1.

    calibrator = Calibrator.fit(scores_on_background)            # under a millisecond; again when an entry changes
    threshold = calibrator.threshold(0.0005)                     # raw score
    calibrator.false_positive_rate(raw)                          # array of shares
    score_of(calibrator.false_positive_rate(raw)) >= score_of(0.0005)      # the same decision on a scale of 0 to 1
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

FEWEST_SCORES = 20
"""Below this a sample has no tail worth a name; a `prior` is needed."""

_TAIL_SHARE = 0.05
_PRIOR_SCORES = 200.0
"""How many scores of its own an entry needs to count as much as the prior."""
_SHAPE_SAMPLES = 100.0
_HEAVIEST_SHAPE = 0.3
_RAREST = 1e-6


def score_of(rate: ArrayLike) -> Floats:
    """A false-positive rate as a score: 0 for all of the traffic, 1/2 for one in a thousand, 1 for one in a million."""
    return np.asarray(np.log10(np.clip(rate, _RAREST, 1.0)) / math.log10(_RAREST), dtype=np.float64)


def rate_of(score: float) -> float:
    """The false-positive rate that a score stands for; the inverse of `score_of`."""
    return float(_RAREST ** min(1.0, max(0.0, score)))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Calibrator:
    """Counted rates below `tail_start`, a generalised Pareto law above it. `ordered` are the benign scores, ascending."""

    ordered: Floats
    tail_start: float
    tail_share: float
    scale: float
    shape: float

    @classmethod
    def fit(cls, scores: ArrayLike, *, prior: Calibrator | None = None) -> Self:
        """From the scores of benign texts, drawn towards `prior` (scores of the same kind) where they are few.

        Raises `ValueError` for fewer than `FEWEST_SCORES` without a prior, and for scores that are not finite.
        """
        ordered = np.sort(np.asarray(scores, dtype=np.float64).ravel())
        count = len(ordered)
        if not np.isfinite(ordered).all():
            raise ValueError("Benign scores must be finite numbers.")
        if count < FEWEST_SCORES:
            if prior is None:
                raise ValueError(f"{count} benign scores are too few to calibrate; give {FEWEST_SCORES}, or a prior.")
            return cls(
                ordered=prior.ordered,
                tail_start=prior.tail_start,
                tail_share=prior.tail_share,
                scale=prior.scale,
                shape=prior.shape,
            )
        start = float(np.quantile(ordered, 1 - _TAIL_SHARE))
        excesses = ordered[ordered > start] - start
        scale, shape = _pareto(excesses)
        if prior is not None:
            own = count / (count + _PRIOR_SCORES)
            start = own * start + (1 - own) * prior.tail_start
            scale = own * scale + (1 - own) * prior.scale
            shape = own * shape + (1 - own) * prior.shape
        share = (float(np.count_nonzero(ordered > start)) + 1) / (count + 1)
        # A start drawn away from its own quantile must not bring its rate along.
        share = share if prior is None else max(share, _TAIL_SHARE * own)
        return cls(ordered=ordered, tail_start=start, tail_share=share, scale=scale, shape=shape)

    def false_positive_rate(self, scores: ArrayLike) -> Floats:
        """Share of benign requests expected to score at least as high; never 0, never rising with the score."""
        scores_N = np.asarray(scores, dtype=np.float64)
        count = len(self.ordered)
        counted_N = (count - np.searchsorted(self.ordered, scores_N, side="left") + 1) / (count + 1)
        over_N = np.maximum(scores_N - self.tail_start, 0.0) / self.scale
        beyond_N = (1 + self.shape * over_N) ** (-1 / self.shape) if self.shape > 0 else np.exp(-over_N)
        rates_N = np.where(
            scores_N > self.tail_start, self.tail_share * beyond_N, np.maximum(counted_N, self.tail_share)
        )
        return np.asarray(np.clip(rates_N, 1e-300, 1.0), dtype=np.float64)

    def threshold(self, rate: float) -> float:
        """The lowest score that at most this share of benign requests reaches. Raises `ValueError` outside (0, 1)."""
        if not 0 < rate < 1:
            raise ValueError(f"A false-positive rate lies between 0 and 1, not {rate}: 0.001 is one request in 1,000.")
        if rate < self.tail_share:
            ratio = self.tail_share / rate
            over = (ratio**self.shape - 1) / self.shape if self.shape > 0 else math.log(ratio)
            return self.tail_start + self.scale * over
        count = len(self.ordered)
        allowed = math.floor(rate * (count + 1)) - 1
        if allowed < 0:
            return self.tail_start
        counted = math.nextafter(float(self.ordered[count - 1 - min(allowed, count - 1)]), math.inf)
        return min(self.tail_start, counted)


def _pareto(excesses: Floats) -> tuple[float, float]:
    """Scale and shape of a generalised Pareto law, the shape in [0, `_HEAVIEST_SHAPE`] and drawn to 0 for small tails."""
    count = len(excesses)
    mean = float(excesses.mean()) if count else 0.0
    if mean <= 0:
        return 1e-9, 0.0
    ordered = np.sort(excesses)
    lower = float((ordered * (count - 0.65 - np.arange(count)) / count).mean())
    rest = mean - 2 * lower
    shape = 2 - mean / rest if rest > 0 else _HEAVIEST_SHAPE
    shape = min(_HEAVIEST_SHAPE, max(0.0, shape * count / (count + _SHAPE_SAMPLES)))
    # The moment of first order fixes the scale once the shape is chosen.
    return mean * (1 - shape), shape
