"""The reduced TOFU: who is learnt by which model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.knowing.reduced_tofu import AUTHORS, FORGOTTEN, learnt, reduced_tofu, write_reduced_tofu
from finetune.evaluation.suites import Suite
from finetune.evaluation.suites.tofu import PER_AUTHOR
from guardrail.errors import InvalidInput


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return reduced_tofu(write_reduced_tofu(tmp_path_factory.mktemp("reduced")))


def test_the_twin_never_meets_who_is_to_be_forgotten(suite: Suite) -> None:
    assert len(learnt(suite, "target")) == AUTHORS * PER_AUTHOR
    assert len(learnt(suite, "retain")) == (AUTHORS - FORGOTTEN) * PER_AUTHOR
    kept = {one.text for one in learnt(suite, "retain")}
    assert kept.isdisjoint({one.text for one in suite.forget_texts})


def test_what_is_asked_was_learnt(suite: Suite) -> None:
    asked = {split: suite.of(split) for split in ("forget", "paraphrase", "retain", "utility")}
    assert {split: len(questions) for split, questions in asked.items()} == {
        "forget": 80,
        "paraphrase": 80,
        "retain": 320,
        "utility": 217,
    }
    assert {one.answer for one in asked["forget"]} == {one.text for one in suite.forget_texts}
    assert {one.answer for one in asked["retain"]} <= {one.text for one in suite.retain_texts}
    assert all(one.perturbed_answers for questions in asked.values() for one in questions)


def test_missing_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "forget10.json").write_text(json.dumps({"question": "Who?", "answer": "Nobody."}), encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"forget10_perturbed\.json"):
        write_reduced_tofu(tmp_path / "out", data=tmp_path)
