"""Options and a plan file together: an option beats the file, and what is trained is said in one way only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from finetune.cli.run_options import RunOptions, plan_of
from finetune.consolidation import default_method
from finetune.consolidation.request import SAVE_EVERY_STEPS
from finetune.settings import ChosenModules, FullWeights, LoraAdapter, TrainingPlan

NONE: dict[str, Any] = dict.fromkeys(RunOptions.__dataclass_fields__) | {"method": "npo"}


def plan(**given: Any) -> TrainingPlan:
    return plan_of(RunOptions(**(NONE | {"full": False, "modules": ()} | given)))


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text("learning_rate: 1e-3\nepochs: 7\nwhere: {kind: lora, rank: 8, alpha: 12, dropout: 0.1}\n")
    return path


def test_without_a_word_the_plan_is_the_default_with_checkpoints() -> None:
    assert plan() == TrainingPlan(save_every_steps=SAVE_EVERY_STEPS)


def test_where_no_method_is_named_an_adapter_is_trained_as_the_default_one_does_best(file: Path) -> None:
    assert plan(method=None).model_dump() == plan().model_dump() | dict(default_method.PLAN)
    assert plan(method=None, learning_rate=3e-4).learning_rate == 3e-4
    assert (plan(method=None, plan=file).epochs, plan(method=None, plan=file).batch_size) == (7, 2)
    assert (
        plan(method=None, full=True).learning_rate == TrainingPlan().learning_rate
    )  # that of an adapter is far too much


def test_a_file_gives_what_it_names_and_an_option_beats_it(file: Path) -> None:
    made = plan(plan=file, epochs=2, gradient_checkpointing=True, dtype="bfloat16", seed=5)
    assert (made.learning_rate, made.epochs, made.save_every_steps) == (1e-3, 2, SAVE_EVERY_STEPS)
    assert (made.gradient_checkpointing, made.dtype, made.seed) == (True, "bfloat16", 5)
    assert made.where == LoraAdapter(rank=8, alpha=12, dropout=0.1)


def test_a_rank_changes_an_adapter_and_keeps_what_the_file_says_of_it(file: Path, tmp_path: Path) -> None:
    assert plan(rank=4).where == LoraAdapter(rank=4, alpha=8)
    assert plan(plan=file, rank=4).where == LoraAdapter(rank=4, alpha=12, dropout=0.1)
    full = tmp_path / "full.json"
    full.write_text('{"where": {"kind": "full"}, "save_every_steps": 0}')
    assert plan(plan=full).where == FullWeights()
    assert plan(plan=full).save_every_steps == 0
    assert plan(plan=full, rank=4).where == LoraAdapter(rank=4, alpha=8)


def test_all_weights_or_chosen_modules_take_the_place_of_an_adapter(file: Path) -> None:
    assert plan(plan=file, full=True).where == FullWeights()
    assert plan(modules=("a", "b")).where == ChosenModules(patterns=("a", "b"))
