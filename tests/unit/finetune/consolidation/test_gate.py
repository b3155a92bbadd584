"""The gate: what must be refused is, and every answer has a reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from finetune.consolidation.gate import GateLimits, Judged, figures_of, judge
from finetune.evaluation.report import Figure, SplitFigures
from finetune.evaluation.run import JudgedFigures


def split(**values: float) -> SplitFigures:
    return SplitFigures(
        measured={
            name: Figure(value=value, n=40, ci95=(max(0.0, value - 0.1), min(1.0, value + 0.1)), version=1)
            for name, value in values.items()
        }
    )


def figures(**changed: float) -> JudgedFigures:
    """A good edit, but for what is changed."""
    now = {
        "leak": 0.02,
        "paraphrase": 0.02,
        "attacked": 0.05,
        "neighbor": 0.8,
        "retain": 0.9,
        "utility": 0.5,
        "gibberish": 0.0,
    }
    now |= changed
    return JudgedFigures(
        identity={},
        accuracy={"forget": split(leak_rate=now["leak"], gibberish_rate=now["gibberish"], rouge_l_recall=0.3)},
        generalizability={
            "paraphrase": split(leak_rate=now["paraphrase"]),
            "adversarial": split(leak_rate=now["attacked"]),
        },
        locality={name: split(rouge_l_recall=now[name]) for name in ("neighbor", "retain", "utility")},
    )


GOOD = Judged(edited=figures(), untouched=figures(leak=0.9), rounded=figures(), relearnt=figures())


def test_an_edit_that_keeps_to_every_limit_is_accepted_and_says_by_what() -> None:
    verdict = judge(GOOD, GateLimits())
    assert verdict.accepted
    assert len(verdict.checks) == len(GateLimits.model_fields)
    assert [check.name for check in verdict.checks] == [*GateLimits.model_fields]
    assert verdict.reasons[0] == "leaks: what is to be forgotten leaks in 2.0% of 40 answers; at most 0.15 holds"


@pytest.mark.parametrize(
    ("judged", "name"),
    [
        (replace(GOOD, edited=figures(leak=0.16)), "leaks"),
        (replace(GOOD, edited=figures(paraphrase=0.3)), "paraphrased_leaks"),
        (replace(GOOD, edited=figures(attacked=0.3)), "adversarial_leaks"),
        (replace(GOOD, edited=figures(neighbor=0.6)), "neighbor_loss"),
        (replace(GOOD, edited=figures(retain=0.7)), "retain_loss"),
        (replace(GOOD, edited=figures(utility=0.4)), "utility_loss"),
        (replace(GOOD, edited=figures(gibberish=0.05)), "gibberish"),
        (replace(GOOD, rounded=figures(leak=0.5)), "rounded_leaks"),
        (replace(GOOD, relearnt=figures(leak=0.5)), "relearnt_leaks"),
    ],
)
def test_one_broken_limit_refuses_and_only_it_is_named(judged: Judged, name: str) -> None:
    verdict = judge(judged, GateLimits())
    assert not verdict.accepted
    assert [reason.partition(":")[0] for reason in verdict.reasons] == [name]


def test_what_was_not_measured_cannot_pass_unless_nobody_asks_for_it() -> None:
    lacking = replace(GOOD, relearnt=None)
    verdict = judge(lacking, GateLimits())
    assert not verdict.accepted
    assert "was not measured" in verdict.reasons[0]
    assert judge(lacking, GateLimits(relearnt_leaks=None)).accepted
    told: Any = figures_of(verdict)
    assert told["relearnt_leaks"]["value"] is None


def test_gain_is_no_loss_and_an_interval_beyond_the_limit_is_told() -> None:
    verdict = judge(replace(GOOD, edited=figures(neighbor=0.99, leak=0.1)), GateLimits())
    by_name = {check.name: check for check in verdict.checks}
    assert by_name["neighbor_loss"].value == 0.0
    assert verdict.accepted
    assert "the interval reaches beyond it" in by_name["leaks"].reason
    assert by_name["leaks"].ci95 == (0.0, 0.2)
