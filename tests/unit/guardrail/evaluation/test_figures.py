"""Figures against plain calculations: rates, intervals, the area under the curve."""

from __future__ import annotations

import itertools
import math

import pytest

from guardrail.evaluation.figures import auroc, groups_of, overall_of, percentile, spread_of, wilson
from guardrail.evaluation.outcomes import Outcome

_NUMBERS = itertools.count()


def outcome(
    group: str = "g",
    *,
    expected: bool = True,
    caught: bool = False,
    right: bool = False,
    score: float = 0.0,
    told: bool | None = None,
) -> Outcome:
    number = next(_NUMBERS)
    return Outcome(
        number=number,
        id=str(number),
        group=group,
        is_expected=expected,
        caught=caught,
        score=score,
        is_right=right,
        is_best=right,
        told=told,
        ms=1.0,
    )


def test_the_wilson_interval_agrees_with_its_formula() -> None:
    hits, total, z = 81, 263, 1.959964
    share = hits / total
    root = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    low = (share + z * z / (2 * total) - root) / (1 + z * z / total)
    high = (share + z * z / (2 * total) + root) / (1 + z * z / total)
    assert wilson(hits, total) == (round(low, 4), round(high, 4))
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == 1.0
    assert wilson(0, 0) == (0.0, 1.0)


def test_the_area_under_the_curve_counts_pairs_and_halves_ties() -> None:
    positives, negatives = [0.9, 0.5, 0.5, 0.0], [0.5, 0.1, 0.0]
    pairs = [(p > n) + 0.5 * (p == n) for p in positives for n in negatives]
    assert auroc(positives, negatives) == round(sum(pairs) / len(pairs), 4)
    assert auroc([], negatives) is None
    assert auroc(positives, []) is None


def test_percentiles_lie_between_the_nearest_ranks() -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], 50) == 2.5
    assert percentile([7.0], 99) == 7.0
    assert (spread_of([1.0, 2.0, 3.0]).p50, spread_of([1.0, 2.0, 3.0]).p99) == (2.0, 2.98)


def test_a_guard_holds_by_request_or_answer() -> None:
    outcomes = [
        outcome(caught=True, right=True, score=1.0, told=False),
        outcome(caught=False, score=0.4, told=True),
        outcome(caught=True, right=False, score=0.7, told=False),
        outcome(caught=False, told=False),
        outcome("n", expected=False, caught=True, score=0.7),
        outcome("n", expected=False, score=0.2, told=True),
        outcome("n", expected=False),
        outcome("n", expected=False),
    ]
    overall = overall_of(outcomes)
    assert (overall.input.recall, overall.either.recall) == (0.5, 0.75)
    assert (overall.input.false_positive_rate, overall.either.false_positive_rate) == (0.25, 0.5)
    assert overall.input.wrong_entry_rate == 0.5
    assert overall.output is not None
    assert (overall.output.recall, overall.output.false_positive_rate) == (0.25, 1.0)
    groups = groups_of(outcomes)
    assert (groups["g"].expected, groups["g"].n, groups["g"].either_rate) == ("match", 4, 0.75)
    assert groups["g"].right_entry_rate == 0.5
    assert groups["g"].ci95 == wilson(3, 4)
    assert groups["n"].right_entry_rate is None


def test_what_was_not_measured_is_absent() -> None:
    overall = overall_of([outcome(caught=True)])
    assert overall.output is None
    assert overall.input.false_positive_rate is None
    assert overall.input.auroc is None
    assert groups_of([outcome()])["g"].output_rate is None
    assert groups_of([outcome()])["g"].right_entry_rate is None


def test_a_group_whose_probes_expect_differently_is_shown_as_two() -> None:
    groups = groups_of([outcome("mixed"), outcome("mixed", expected=False), outcome("plain")])
    assert {label: group.expected for label, group in groups.items()} == {
        "mixed (match)": "match",
        "mixed (none)": "none",
        "plain": "match",
    }


@pytest.mark.parametrize("caught", [True, False])
def test_a_probe_without_an_answer_holds_by_its_request_alone(caught: bool) -> None:
    assert outcome(caught=caught).held is caught
