"""A tiny random Llama, sequences for it, and methods that are just enough to drive the training loop."""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import LlamaForCausalLM

from finetune.data.batch import IGNORED, TokenBatch, TokenSequence, UnlearningBatch
from finetune.methods.language.protocol import LanguageModel, Need, Part, Term
from finetune.settings import TrainingPlan
from finetune.training.loop import Trainer
from finetune.training.steps import TrainingData
from tests.fakes.tiny_llama import tiny_llama

VOCABULARY = 64
CONTEXT = 32


def tiny_model(seed: int = 0) -> LlamaForCausalLM:
    """Two layers, hidden 32; the same for the same seed."""
    model: LlamaForCausalLM = tiny_llama(seed=seed, vocab_size=VOCABULARY, max_position_embeddings=CONTEXT)
    return model


def tiny_sequences(count: int, seed: int = 0) -> tuple[TokenSequence, ...]:
    """Random tokens of different lengths, the first few of them prompt."""
    numbers = random.Random(seed)
    return tuple(
        TokenSequence(
            tokens=tuple(numbers.randrange(1, VOCABULARY) for _ in range(numbers.randint(6, 14))),
            prompt_tokens=numbers.randint(0, 4),
        )
        for _ in range(count)
    )


def tiny_data(forget: int = 16, retain: int = 5, alternative: bool = False) -> TrainingData:
    """Sequences of every part that is asked for."""
    return TrainingData(
        forget=tiny_sequences(forget, seed=1),
        retain=tiny_sequences(retain, seed=2),
        alternative=tiny_sequences(forget, seed=3) if alternative else (),
        pad_token=0,
    )


def tiny_plan(**changes: Any) -> TrainingPlan:
    """Full weights, a step of four sequences, two epochs."""
    return TrainingPlan.model_validate(
        {"where": {"kind": "full"}, "learning_rate": 1e-3, "epochs": 2, "batch_size": 4} | changes
    )


def tiny_trainer(model: nn.Module, data: TrainingData, plan: TrainingPlan, **options: Any) -> Trainer:
    """On the CPU, wherever the tests run."""
    return Trainer(model, data, plan, accelerator=Accelerator(cpu=True), **options)


def model_of(trainer: Trainer) -> Any:
    """The trained model, whose methods are those of transformers or peft."""
    return trainer.model


@dataclass(frozen=True, kw_only=True)
class Nll:
    """Learn one part, and another one beside it."""

    name: ClassVar[str] = "nll"
    paper: ClassVar[str] = "none"
    part: Part = "forget"
    weight: float = 1.0
    retain_weight: float = 0.0

    @property
    def needs(self) -> frozenset[Need]:
        """The retain part if it has weight."""
        return frozenset({Need.RETAIN}) if self.retain_weight or self.part == "retain" else frozenset()

    def loss(self, batch: UnlearningBatch, model: LanguageModel, reference: LanguageModel | None) -> tuple[Term, ...]:
        """Token means."""
        assert reference is None or callable(reference)
        own = batch.retain if self.part == "retain" else batch.forget
        assert own is not None
        terms = [Term(name="learnt", total=nll(own, model), part=self.part, unit="token", weight=self.weight)]
        if self.retain_weight:
            assert batch.retain is not None
            kept = nll(batch.retain, model)
            terms.append(Term(name="kept", total=kept, part="retain", unit="token", weight=self.retain_weight))
        return tuple(terms)


@dataclass(frozen=True, kw_only=True)
class AwayFromReference:
    """Learn less of the forget part while logits on it stay near the reference's, or near those of a `twin`."""

    name: ClassVar[str] = "away"
    paper: ClassVar[str] = "none"
    twin: nn.Module | None = field(default=None, repr=False)

    @property
    def needs(self) -> frozenset[Need]:
        """A reference even if the twin takes its place, so that both run alike."""
        return frozenset({Need.REFERENCE})

    def loss(self, batch: UnlearningBatch, model: LanguageModel, reference: LanguageModel | None) -> tuple[Term, ...]:
        """One mean over tokens, one over sequences."""
        assert reference is not None
        inputs = {"input_ids": batch.forget.input_ids_BT, "attention_mask": batch.forget.attention_mask_BT}
        logits_BTV = model(**inputs).logits
        with torch.no_grad():
            reference_BTV = (self.twin or reference)(**inputs).logits
        near = ((logits_BTV - reference_BTV) ** 2 * batch.forget.attention_mask_BT[:, :, None]).sum() / 500
        return (
            Term(name="unlearnt", total=-nll(batch.forget, model), part="forget", unit="token"),
            Term(name="near", total=near, part="forget", unit="sequence", weight=0.5),
        )


@dataclass(frozen=True, kw_only=True)
class NanFrom:
    """Learns well until its loss is no number, at the given call."""

    name: ClassVar[str] = "nan"
    paper: ClassVar[str] = "none"
    call: int
    calls: list[int] = field(default_factory=list, repr=False)

    @property
    def needs(self) -> frozenset[Need]:
        """Nothing."""
        return frozenset()

    def loss(self, batch: UnlearningBatch, model: LanguageModel, reference: LanguageModel | None) -> tuple[Term, ...]:
        """One term."""
        assert reference is None
        self.calls.append(1)
        total = nll(batch.forget, model) * (float("nan") if len(self.calls) == self.call else 1.0)
        return (Term(name="learnt", total=total, part="forget", unit="token"),)


def nll(batch: TokenBatch, model: LanguageModel) -> Tensor:
    """Sum over learnt tokens."""
    logits_BTV = model(input_ids=batch.input_ids_BT, attention_mask=batch.attention_mask_BT).logits
    return cross_entropy(
        logits_BTV[:, :-1].flatten(0, 1), batch.labels_BT[:, 1:].flatten(), ignore_index=IGNORED, reduction="sum"
    )


def logits_of(model: Any) -> Tensor:
    """On a fixed text, without dropout."""
    model.eval()
    input_ids_BT = torch.arange(1, 25).reshape(2, 12)
    with torch.no_grad():
        logits: Tensor = model(input_ids=input_ids_BT, attention_mask=torch.ones_like(input_ids_BT)).logits
    return logits


def frozen_twin(model: nn.Module) -> nn.Module:
    """A copy that nothing changes."""
    return copy.deepcopy(model).eval()
