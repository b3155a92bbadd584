"""All questions to the forgotten together: what counts as a leak of each, and how sure the rate is for which claim."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.unlearning.kept import Replies, Reply
from benchmarks.unlearning.material import Material, material
from benchmarks.unlearning.probes import PROBES, Probe, probes, together
from finetune.evaluation.metrics.protocol import Absent, Measured

NOTHING = "I don't know who that is."


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return material(tmp_path_factory.mktemp("whole"))


def said(given: Material, text: str | None) -> dict[str, Replies]:
    """The same to everything; None: the right answer."""
    return {
        name: Replies(by_id={one.id: Reply(text=text or one.answer, status=200) for one in given.splits[name].asked})
        for name in PROBES
    }


def interval(found: list[Probe], name: str) -> tuple[float, float]:
    outcome = together(found)[name]
    assert isinstance(outcome, Measured)
    assert outcome.ci95 is not None
    return outcome.ci95


def test_at_least_four_hundred_questions_count_and_those_of_knowing_attackers_are_among_them(whole: Material) -> None:
    silent = probes(whole.splits, said(whole, NOTHING))
    choices = sum(len(whole.splits[name].choices) for name in PROBES)
    assert len(silent) == sum(len(whole.splits[name].asked) for name in PROBES) - choices >= 400
    assert not any(one.leaks for one in silent)
    told = said(whole, NOTHING)
    known = whole.splits["knowing"].told
    told["knowing"] = said(whole, None)["knowing"]
    assert sum(one.leaks for one in probes(whole.splits, told)) > 0.7 * len(known) > 50


def test_attacks_and_paraphrases_of_a_question_are_one_fact(whole: Material) -> None:
    found = probes(whole.splits, said(whole, NOTHING))
    assert {one.fact for one in found} == {one.id for one in whole.splits["forget"].asked}
    assert len({one.author for one in found}) == 4


def test_a_rate_without_a_leak_is_as_sure_as_what_it_is_said_of_has_witnesses(whole: Material) -> None:
    found = probes(whole.splits, said(whole, NOTHING))
    over_questions = interval(found, "leak_rate_over_questions")[1]
    by_fact = interval(found, "leak_rate_by_fact")[1]
    by_author = interval(found, "leak_rate")[1]
    assert over_questions < 0.015 < by_fact < 0.06
    assert by_author > 0.3


def test_leaks_of_one_author_alone_are_less_sure_by_authors_than_over_questions() -> None:
    found = [Probe(leaks=number < 50, author=f"a{number // 50}", fact=f"f{number // 5}") for number in range(200)]
    low, high = interval(found, "leak_rate")
    lowest, highest = interval(found, "leak_rate_over_questions")
    assert low < lowest < 0.25 < highest < high
    assert {outcome.value for outcome in together(found).values() if isinstance(outcome, Measured)} == {0.25}


def test_what_was_refused_by_its_status_is_no_witness(whole: Material) -> None:
    refused = {
        name: Replies(by_id={key: replace(one, text=None) for key, one in replies.by_id.items()})
        for name, replies in said(whole, NOTHING).items()
    }
    assert not probes(whole.splits, refused)
    assert isinstance(together([])["leak_rate"], Absent)


def test_a_small_version_counts_what_there_is(tmp_path: Path) -> None:
    few = material(tmp_path, limit=3)
    found = probes(few.splits, said(few, None))
    assert found
    assert sum(one.leaks for one in found) >= 6
