"""Shares, medians and changes: their values, numbers and intervals."""

from __future__ import annotations

import random
import statistics

import pytest

from guardrail.evaluation.figures import wilson
from guardrail.evaluation.images.measures import mean_change, median, median_ratio, share


def test_a_share_has_its_number_and_the_score_interval() -> None:
    figure = share([1.0, 1.0, 0.0, 1.0])
    assert figure is not None
    assert (figure.value, figure.n, figure.ci95) == (0.75, 4, wilson(3, 4))
    assert share([]) is None


def test_a_share_of_parts_lies_in_its_interval() -> None:
    figure = share([0.5, 0.25, 0.25])
    assert figure is not None
    assert figure.ci95 is not None
    assert figure.ci95[0] <= figure.value <= figure.ci95[1]


def test_a_change_is_that_of_the_same_pictures() -> None:
    figure = mean_change([1.0, 0.5, 1.0], [0.5, 0.5, 1.0])
    assert figure is not None
    assert figure.value == pytest.approx(-0.1667, abs=1e-4)
    half = 1.96 * statistics.stdev([-0.5, 0, 0]) / 3**0.5
    assert figure.ci95 == pytest.approx((-1 / 6 - half, -1 / 6 + half), abs=1e-3)
    same = mean_change([1.0, 0.0], [1.0, 0.0])
    assert same is not None
    assert (same.value, same.ci95) == (0.0, (0.0, 0.0))


def test_the_medians_interval_holds_the_median_nineteen_times_in_twenty() -> None:
    rng = random.Random(3)
    hits = 0
    for _ in range(200):
        figure = median([rng.expovariate(1.0) for _ in range(40)])
        assert figure is not None
        assert figure.ci95 is not None
        hits += figure.ci95[0] <= 0.6931 <= figure.ci95[1]
    assert hits >= 184


def test_few_times_have_a_median_without_interval() -> None:
    figure = median([0.2, 0.1, 0.3])
    assert figure is not None
    assert (figure.value, figure.ci95) == (0.2, None)


def test_a_ratio_of_medians_says_how_sure_it_is() -> None:
    rng = random.Random(4)
    base = [rng.gauss(1, 0.1) for _ in range(80)]
    figure = median_ratio([1.5 * one for one in base], base)
    assert figure is not None
    assert figure.ci95 is not None
    assert figure.value == pytest.approx(1.5, abs=1e-3)
    assert figure.ci95[0] < 1.5 < figure.ci95[1]
    assert median_ratio([], base) is None
