"""Weights after what their holders may do to them: fewer bits, a little more training on something else.

Each is made in memory when it is asked and not kept. Relearning trains as an attacker would: LoRA, the likelihood of a
few texts that have nothing to do with what was forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import nn

from finetune.data.tokens import sequences_of
from finetune.data.training_text import TrainingText
from finetune.evaluation.attacks.quantisation import Quantisation
from finetune.evaluation.attacks.relearning import Relearning
from finetune.evaluation.judged_model import JudgedModel
from finetune.evaluation.local_model import LocalModel
from finetune.evaluation.subjects import Subject
from finetune.methods.language.fine_tuning import FineTuning
from finetune.settings import LoraAdapter, TrainingPlan
from finetune.training.loop import Trainer
from finetune.training.model_files import load_model, load_tokenizer, merged, with_adapter
from finetune.training.steps import TrainingData

RELEARNING: Final = Relearning(examples=10)
RELEARNING_PLAN: Final = TrainingPlan(
    where=LoraAdapter(rank=16, alpha=32), learning_rate=2e-4, epochs=10, batch_size=10, dtype="bfloat16"
)
_MAX_TOKENS: Final = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Attacker:
    """What an attacker has besides the weights: a tokenizer's folder and texts of his own. `forget` and `names` are what
    those must have nothing to do with."""

    tokenizer: str | Path
    unrelated: Sequence[TrainingText]
    forget: Sequence[TrainingText]
    names: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """A model to be attacked: what tells it from others, its base's folder or hub id, and the adapter on it, if any."""

    subject: Subject
    base: str | Path
    adapter: Path | None = None


Change = Callable[[nn.Module, Attacker], nn.Module]


def _int8(model: nn.Module, _: Attacker) -> nn.Module:
    return Quantisation(bits=8).run(model)


def _nf4(model: nn.Module, _: Attacker) -> nn.Module:
    return Quantisation(bits=4).run(model)


def _relearnt(model: nn.Module, attacker: Attacker) -> nn.Module:
    tokenizer = load_tokenizer(attacker.tokenizer)

    def train(texts: Sequence[TrainingText]) -> nn.Module:
        sequences = sequences_of(tokenizer, texts, max_tokens=_MAX_TOKENS)
        trainer = Trainer(model, TrainingData(forget=sequences, pad_token=int(tokenizer.pad_token_id)), RELEARNING_PLAN)
        trainer.train(FineTuning())
        return merged(trainer.model, in_place=True).float()

    return RELEARNING.run(train, attacker.unrelated, forget=attacker.forget, names=attacker.names)


CHANGES: Final[Mapping[str, Change]] = {"8-bit": _int8, "4-bit": _nf4, "relearnt": _relearnt}


def attacked(attacker: Attacker, label: str, weights: Weights, change: str) -> Subject:
    """The model after a change of `CHANGES`."""

    def load() -> JudgedModel:
        whole = load_model(weights.base)
        if weights.adapter is not None:
            whole = merged(with_adapter(whole, weights.adapter), in_place=True)
        changed = CHANGES[change](whole, attacker).to(torch.bfloat16).eval()
        return LocalModel(name=label, model=changed, tokenizer=load_tokenizer(weights.base))

    return Subject(identity={**weights.subject.identity, "changed": change}, load=load)
