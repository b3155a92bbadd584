"""Rates and thresholds: what was counted, what is extrapolated, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.calibration import FEWEST_SCORES, Calibrator, rate_of, score_of


def _benign(count: int, seed: int = 0) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.random.default_rng(seed).exponential(size=count)


def test_a_counted_threshold_is_kept_by_fresh_texts() -> None:
    threshold = Calibrator.fit(_benign(2_000)).threshold(0.2)
    assert 0.17 < (_benign(50_000, seed=1) >= threshold).mean() < 0.23


@pytest.mark.parametrize("rate", [0.01, 0.001, 0.0005])
def test_an_extrapolated_threshold_is_right_within_a_factor_of_two_and_a_half(rate: float) -> None:
    thresholds = [Calibrator.fit(_benign(2_000, seed)).threshold(rate) for seed in range(20)]
    reached = np.exp(-np.median(thresholds))
    assert rate / 2.5 < reached < rate * 1.5


@pytest.mark.parametrize("rate", [0.3, 0.1, 0.04, 0.003, 0.0001])
def test_a_threshold_has_the_rate_that_it_was_chosen_for(rate: float) -> None:
    calibrator = Calibrator.fit(_benign(500))
    assert calibrator.false_positive_rate(calibrator.threshold(rate)) <= rate * (1 + 1e-9)


def test_the_rate_never_rises_with_the_score_and_is_never_zero() -> None:
    calibrator = Calibrator.fit(_benign(300))
    rates = calibrator.false_positive_rate(np.linspace(-1, 500, 5_000))
    assert (np.diff(rates) <= 0).all()
    assert rates.min() > 0
    assert rates[0] == 1


def test_a_count_promises_no_less_than_its_sample_allows() -> None:
    scores = np.arange(20, dtype=np.float64)
    assert Calibrator.fit(scores).false_positive_rate(18.0) >= 3 / 21


def test_a_small_sample_is_drawn_towards_the_prior() -> None:
    prior = Calibrator.fit(_benign(5_000) * 10)
    alone = Calibrator.fit(_benign(40)).threshold(0.001)
    drawn = Calibrator.fit(_benign(40), prior=prior).threshold(0.001)
    assert alone < drawn < prior.threshold(0.001) * 1.5


def test_too_few_scores_take_the_prior_or_are_refused() -> None:
    prior = Calibrator.fit(_benign(500))
    few = _benign(FEWEST_SCORES - 1)
    assert Calibrator.fit(few, prior=prior).threshold(0.001) == prior.threshold(0.001)
    with pytest.raises(ValueError, match="too few to calibrate"):
        Calibrator.fit(few)


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        Calibrator.fit([*_benign(50), np.nan])


def test_equal_scores_give_no_alarm_above_them() -> None:
    calibrator = Calibrator.fit(np.zeros(100))
    assert calibrator.false_positive_rate(1.0) < 1e-6
    assert calibrator.false_positive_rate(0.0) == 1


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 2.0])
def test_a_rate_outside_its_range_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Calibrator.fit(_benign(100)).threshold(rate)


def test_scores_stand_for_rates() -> None:
    assert score_of([1.0, 1e-3, 1e-6, 1e-9]) == pytest.approx([0.0, 0.5, 1.0, 1.0])
    assert rate_of(float(score_of(0.0005))) == pytest.approx(0.0005)
