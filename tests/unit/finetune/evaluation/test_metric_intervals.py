"""Intervals cover what they should, grow where questions come in groups, and are the same at every run."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from finetune.evaluation import intervals
from finetune.evaluation.intervals import (
    bootstrap_means,
    group_numbers,
    mean_interval,
    median_interval,
    rate_interval,
    wilson,
)


def test_the_bootstrap_covers_the_true_mean_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(7)
    covered = 0
    for _ in range(200):
        found = mean_interval(random.exponential(1.0, size=80).tolist())
        assert found is not None
        covered += found[0] <= 1.0 <= found[1]
    assert 0.88 <= covered / 200 <= 0.99


def test_over_groups_it_covers_where_the_plain_bootstrap_does_not() -> None:
    random = np.random.default_rng(8)
    grouped = plain = 0
    groups = [str(number // 10) for number in range(300)]
    for _ in range(100):
        scores = (random.normal(size=30).repeat(10) + 0.1 * random.normal(size=300)).tolist()
        for_groups, for_questions = mean_interval(scores, groups), mean_interval(scores)
        assert for_groups is not None
        assert for_questions is not None
        grouped += for_groups[0] <= 0.0 <= for_groups[1]
        plain += for_questions[0] <= 0.0 <= for_questions[1]
    assert grouped >= 86
    assert plain <= 65


def test_the_spread_of_resampled_means_is_the_standard_error() -> None:
    scores = np.random.default_rng(1).normal(size=400)
    resampled_R = bootstrap_means(scores)[:, 0]
    assert resampled_R.std() == pytest.approx(scores.std() / 20, rel=0.06)


def test_the_same_scores_give_the_same_interval_and_another_seed_another() -> None:
    scores = np.random.default_rng(2).random(50).tolist()
    assert mean_interval(scores) == mean_interval(scores)
    assert mean_interval(scores) != mean_interval(scores, seed=1)


def test_the_pieces_in_which_resamples_are_drawn_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.random.default_rng(3).random(20)
    whole = bootstrap_means(scores, resamples=50)
    monkeypatch.setattr(intervals, "_CELLS_AT_ONCE", 60)
    assert np.allclose(bootstrap_means(scores, resamples=50), whole, rtol=1e-12)


def test_groups_of_unlike_size_keep_each_questions_weight() -> None:
    resampled = bootstrap_means([1.0, 1.0, 1.0, 0.0], ["a", "a", "a", "b"])[:, 0]
    assert set(np.round(np.unique(resampled), 6)) == {0.0, 0.75, 1.0}  # b twice, each once, a twice


def test_one_group_tells_nothing_of_how_groups_differ() -> None:
    assert mean_interval([0.0, 1.0, 1.0], ["a", "a", "a"]) is None
    assert mean_interval([1.0]) is None
    assert mean_interval([], []) is None


def test_a_question_without_a_group_stands_alone() -> None:
    assert group_numbers(["a", None, "a", None], 4).tolist() == [0, 1, 0, 2]
    with pytest.raises(ValueError, match="4 questions have 1 groups"):
        group_numbers(["a"], 4)


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (1, 100, 0.0018, 0.0545)],
)
def test_rates_have_wilsons_interval(hits: int, total: int, low: float, high: float) -> None:
    expected = stats.binomtest(hits, total).proportion_ci(method="wilson")
    found = rate_interval([True] * hits + [False] * (total - hits))
    assert found == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert found == pytest.approx((low, high), abs=1e-4)


def test_ten_phrasings_of_one_question_count_as_one_where_they_agree() -> None:
    groups = [str(number // 10) for number in range(100)]
    assert rate_interval([False] * 100, groups) == wilson(0.0, 10)
    agreeing = rate_interval([number < 50 for number in range(100)], groups)
    assert agreeing is not None
    plain = wilson(0.5, 10)
    assert agreeing[1] - agreeing[0] > plain[1] - plain[0]  # ten groups, and their spread is only estimated
    mixed = rate_interval([number % 2 == 0 for number in range(100)], groups)
    assert mixed is not None
    assert mixed[1] - mixed[0] < agreeing[1] - agreeing[0]


def test_a_rate_in_one_group_is_as_sure_as_one_question_and_none_without_questions() -> None:
    assert rate_interval([True, True, False], ["a", "a", "a"]) == wilson(2 / 3, 1)
    assert rate_interval([]) is None


def test_a_median_is_covered_and_repeats_of_a_question_are_no_further_questions() -> None:
    random = np.random.default_rng(9)
    covered = 0
    for _ in range(100):
        found = median_interval(random.exponential(1.0, size=60).tolist())
        assert found is not None
        covered += found[0] <= np.log(2) <= found[1]
    assert 88 <= covered <= 100
    scores = random.exponential(1.0, size=20)
    groups = [str(number // 3) for number in range(60)]
    once, thrice = median_interval(scores.tolist()), median_interval(scores.repeat(3).tolist(), groups)
    assert once == thrice
    plain = median_interval(scores.repeat(3).tolist())
    assert once is not None
    assert plain is not None
    assert plain[1] - plain[0] < once[1] - once[0]
    assert median_interval([1.0, 2.0], ["a", "a"]) is None
