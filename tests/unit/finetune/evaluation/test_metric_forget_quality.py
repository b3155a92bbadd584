"""Forget quality and the KS distance: against scipy, against a case worked out by hand, and with honest intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from finetune.evaluation.judged_model import Fact
from finetune.evaluation.metrics.evidence import Answered, Evidence
from finetune.evaluation.metrics.forget_quality import ForgetQuality, KsDistance
from finetune.evaluation.metrics.protocol import Absent, Measured, Outcome
from tests.unit.finetune.evaluation.judged import answers, asked, facts


def with_ratios(ratios: Sequence[float], groups: Sequence[str | None] | None = None) -> tuple[Answered, ...]:
    """Questions with these truth ratios."""
    return tuple(
        Answered(
            asked=asked(number, group=groups[number] if groups else None),
            tokens=facts([-1.0]),
            perturbed_tokens=(facts([-1.0 + math.log(ratio)]),),
        )
        for number, ratio in enumerate(ratios)
    )


def compared(model: Sequence[float], retain: Sequence[float], groups: Sequence[str | None] | None = None) -> Evidence:
    return Evidence(
        judged=answers(*with_ratios(model, groups)),
        retain_model=Evidence(judged=answers(*with_ratios(retain, groups))),
    )


def measured(outcome: Outcome) -> Measured:
    assert isinstance(outcome, Measured), outcome
    return outcome


def test_the_distance_and_the_p_value_of_a_case_by_hand() -> None:
    # Below .45 lie 3 of the model's 4 ratios and 0 of the retain model's: D = 3/4. Of the 70 ways to deal 8 values into
    # two fours, 2 give D = 1 and 14 more D = 3/4 or above: p = 16 / 70.
    found = compared([0.1, 0.2, 0.4, 0.8], [0.5, 0.6, 0.7, 0.9])
    assert measured(KsDistance().measure(found)).value == pytest.approx(0.75)
    assert measured(ForgetQuality().measure(found)).value == pytest.approx(16 / 70)


def test_too_few_questions_to_tell_any_two_models_apart_give_no_p_value() -> None:
    three = compared([0.1, 0.2, 0.3], [0.7, 0.8, 0.9])
    assert measured(KsDistance().measure(three)).value == 1.0
    absent = ForgetQuality().measure(three)
    assert isinstance(absent, Absent)
    assert "fewer than 4 questions" in absent.reason
    four = compared([0.1, 0.2, 0.3, 0.4], [0.6, 0.7, 0.8, 0.9])
    assert measured(ForgetQuality().measure(four)).value == pytest.approx(2 / 70)


def test_both_agree_with_scipy_on_the_inverse_ratios_that_openunlearning_compares() -> None:
    random = np.random.default_rng(1)
    model, retain = random.lognormal(0.0, 1.0, 60), random.lognormal(0.4, 1.0, 60)
    expected = stats.ks_2samp(1 / model, 1 / retain)
    found = compared(model.tolist(), retain.tolist())
    assert measured(ForgetQuality().measure(found)).value == pytest.approx(expected.pvalue, rel=1e-9)
    assert measured(KsDistance().measure(found)).value == pytest.approx(expected.statistic)


def test_a_model_like_the_retain_model_cannot_be_told_from_it() -> None:
    ratios = np.random.default_rng(2).lognormal(size=50).tolist()
    quality, distance = (
        ForgetQuality().measure(compared(ratios, ratios)),
        KsDistance().measure(compared(ratios, ratios)),
    )
    assert measured(quality).value == 1.0
    assert measured(distance).value == 0.0
    assert measured(quality).n == 50


def test_the_distances_interval_holds_the_value_and_covers_the_true_distance() -> None:
    random = np.random.default_rng(3)
    true = float(stats.norm.cdf(0.25) - stats.norm.cdf(-0.25))  # of two normals half a deviation apart
    covered = 0
    for _ in range(40):
        found = measured(
            KsDistance().measure(
                compared(np.exp(random.normal(0.0, 1, 80)).tolist(), np.exp(random.normal(0.5, 1, 80)).tolist())
            )
        )
        assert found.ci95 is not None
        assert found.ci95[0] <= found.value <= found.ci95[1]
        covered += found.ci95[0] <= true <= found.ci95[1]
    assert covered >= 36


def test_the_p_values_interval_follows_the_distances() -> None:
    random = np.random.default_rng(4)
    model, retain = random.lognormal(0.0, 1.0, 60).tolist(), random.lognormal(0.4, 1.0, 60).tolist()
    quality = measured(ForgetQuality().measure(compared(model, retain)))
    assert quality.ci95 is not None
    assert 0.0 <= quality.ci95[0] <= quality.value <= quality.ci95[1] <= 1.0
    assert ForgetQuality().measure(compared(model, retain)) == quality


def test_questions_of_one_author_make_the_distance_less_sure() -> None:
    random = np.random.default_rng(5)
    groups = [str(number // 10) for number in range(100)]
    model = np.exp(random.normal(size=10).repeat(10)).tolist()
    retain = np.exp(random.normal(size=10).repeat(10)).tolist()
    alone, grouped = (measured(KsDistance().measure(compared(model, retain, of))).ci95 for of in (None, groups))
    assert alone is not None
    assert grouped is not None
    assert grouped[1] - grouped[0] > alone[1] - alone[0]
    assert measured(KsDistance().measure(compared(model, retain, ["one"] * 100))).ci95 is None


def test_without_a_retain_model_or_with_another_one_it_is_absent() -> None:
    alone = Evidence(judged=answers(*with_ratios([0.5, 0.6])))
    assert ForgetQuality().measure(alone) == Absent(reason="It compares with a retain model, and none was given.")
    others = Evidence(judged=alone.judged, retain_model=Evidence(judged=answers(*with_ratios([0.5]))))
    outcome = KsDistance().measure(others)
    assert isinstance(outcome, Absent)
    assert "other questions" in outcome.reason
    silent = Evidence(judged=answers(missing={Fact.TOKENS: "'r' gives no log-probabilities."}))
    outcome = ForgetQuality().measure(Evidence(judged=alone.judged, retain_model=silent))
    assert outcome == Absent(reason="Of the retain model: 'r' gives no log-probabilities.")
    bare = answers(Answered(asked=asked(0)), Answered(asked=asked(1)))
    outcome = ForgetQuality().measure(Evidence(judged=bare, retain_model=Evidence(judged=bare)))
    assert isinstance(outcome, Absent)
