"""How likely the forget part is, which may end a run: against a calculation by hand, however it is cut into batches."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from finetune.data.batch import TokenSequence
from finetune.methods.language.fine_tuning import FineTuning
from finetune.training.early_stop import token_probability
from finetune.training.loop import StepReport
from tests.unit.finetune.training.tiny_training import tiny_data, tiny_model, tiny_plan, tiny_sequences, tiny_trainer


def by_hand(model: Any, sequences: tuple[TokenSequence, ...]) -> float:
    """One sequence at a time, without padding: the first token of a text is predicted by none."""
    found: list[float] = []
    for one in sequences:
        log_probabilities_TV = model(torch.tensor([one.tokens])).logits[0].detach().log_softmax(-1)
        for place in range(max(1, one.prompt_tokens), len(one.tokens)):
            found.append(float(log_probabilities_TV[place - 1, one.tokens[place]]))
    return math.exp(sum(found) / len(found))


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_it_is_the_geometric_mean_over_the_learnt_tokens(batch_size: int) -> None:
    model, sequences = tiny_model(), tiny_sequences(7)
    found = token_probability(model, sequences, pad_token=0, batch_size=batch_size, device=torch.device("cpu"))
    assert found == pytest.approx(by_hand(model, sequences), rel=1e-5)


def test_a_trainer_tells_it_of_its_forget_part_and_trains_on_as_if_nobody_had_asked() -> None:
    def trained(*, asks: bool) -> tuple[list[float], dict[str, torch.Tensor]]:
        told: list[float] = []

        def asked(report: StepReport) -> bool:
            if asks and report.ends_epoch:
                told.append(trainer.forget_probability())
            return False

        where = {"kind": "lora", "rank": 4, "alpha": 8, "dropout": 0.3}
        trainer = tiny_trainer(tiny_model(), tiny_data(), tiny_plan(where=where), on_step=asked)
        trainer.train(FineTuning())
        assert not told or told[-1] == pytest.approx(by_hand(trainer.model, tuple(tiny_data().forget)), rel=1e-4)
        return told, trainer.weights()

    told, weights = trained(asks=True)
    assert len(told) == tiny_plan().epochs
    assert told[0] < told[1]
    for name, weight in trained(asks=False)[1].items():
        assert torch.equal(weights[name], weight)
