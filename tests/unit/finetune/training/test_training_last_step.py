"""What the last step did to the weights is seen, although no loss follows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from finetune.errors import TrainingDiverged
from finetune.methods.language.fine_tuning import FineTuning
from tests.unit.finetune.training.tiny_training import tiny_data, tiny_model, tiny_plan, tiny_trainer


def test_weights_that_the_last_step_broke_are_refused_and_not_kept(tmp_path: Path) -> None:
    plan = tiny_plan(learning_rate=float("inf"), max_steps=1, save_every_steps=1)
    trainer = tiny_trainer(tiny_model(), tiny_data(), plan, checkpoints=tmp_path)

    with pytest.raises(TrainingDiverged, match=r"weights are no finite numbers after the last step, 1 of 1"):
        trainer.train(FineTuning())
    assert not list(tmp_path.iterdir())
