"""Train a denoiser by any denoising loss: steps on rows of a bank, gradients, AdamW, checkpoints. Read first.

    trainer = DenoisingTrainer(pipeline, bank, plan)
    trainer.train(method)
    deltas = trainer.deltas()          # differences of named weights; with a rank, of the layers that were added to

The reference is the denoiser before any training: its own weights with the addition switched off, or a frozen copy.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from finetune.errors import TrainingDiverged
from finetune.methods.image.protocol import DenoisingBatch, DenoisingLoss, SalientLoss, Text, Where
from finetune.settings import DenoisingPlan
from finetune.training.adapter import copied, write
from finetune.training.checkpoint import Checkpoint, CheckpointFile, model_fingerprint
from finetune.training.denoising.bank import Bank
from finetune.training.denoising.calls import CalledDenoiser, Values
from finetune.training.denoising.weights import ADAPTER, make_trainable
from finetune.training.numerics import repeatable
from finetune.training.optimizer import adamw, put_state, state_of
from retrieval.concept_states.readers import denoiser_of

_SALIENCY_BATCHES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class DenoisingReport:
    """What a step came to: terms without their weights, and their weighted sum."""

    step: int
    steps: int
    loss: float
    terms: dict[str, float]
    grad_norm: float
    step_s: float


class DenoisingTrainer:
    """The pipeline's denoiser is changed; whoever wants it back keeps `reset`."""

    def __init__(
        self,
        pipeline: Any,
        bank: Bank,
        plan: DenoisingPlan,
        *,
        where: Where,
        checkpoints: Path | None = None,
        work: dict[str, str] | None = None,
        progress: Callable[[DenoisingReport], None] | None = None,
    ) -> None:
        """`work` names what decides where a run goes, beside plan and model; a checkpoint of other work is refused."""
        self._denoiser: nn.Module = denoiser_of(pipeline)
        self._bank, self._plan, self._progress = bank, plan, progress
        self._fingerprint = model_fingerprint(self._denoiser)
        twin = None if plan.rank is not None else copy.deepcopy(self._denoiser).requires_grad_(False).eval()
        self._parameters = make_trainable(self._denoiser, plan.where or where, rank=plan.rank, seed=plan.seed)
        self._first = copied(self._parameters)
        self._reference = _WithoutAddition(self._denoiser) if twin is None else CalledDenoiser(twin)
        self._device = next(iter(self._parameters.values())).device
        self._work = {
            "plan": plan.model_dump_json(exclude={"save_every_steps"}),
            "model": self._fingerprint,
            **(work or {}),
        }
        self._checkpoints = checkpoints

    def train(self, method: DenoisingLoss) -> None:
        """All steps of the plan, from the last checkpoint on. Raises `TrainingDiverged` or `CheckpointBroken`."""
        plan, model = self._plan, CalledDenoiser(self._denoiser)
        optimizer = adamw(self._parameters, weight_decay=0.0)
        file = self._checkpoint_file(method)
        found = file.load() if file is not None else None
        first = found.step if found is not None else 0
        masks = self._saliency(method, model) if first < plan.steps and isinstance(method, SalientLoss) else {}
        if found is not None:
            write(self._parameters, found.weights)
            put_state(optimizer, self._parameters, found.optimizer)
        self._denoiser.eval()  # no dropout: the target is what the same model says
        with repeatable(self._device, strictly=plan.deterministic):
            for step in range(first, plan.steps):
                self._step(method, model, optimizer, masks, step)
                if file is not None and ((step + 1) % plan.save_every_steps == 0 or step + 1 == plan.steps):
                    self._save(file, optimizer, step + 1)

    def deltas(self) -> dict[str, Tensor]:
        """What training has added, by name of the weight in the denoiser."""
        if self._plan.rank is not None:
            return _products(self._denoiser)
        return {name: one.detach().cpu() - self._first[name] for name, one in self._parameters.items()}

    def reset(self) -> None:
        """Back to the weights before any training."""
        write(self._parameters, self._first)

    def _step(
        self, method: DenoisingLoss, model: CalledDenoiser, optimizer: Any, masks: dict[str, Tensor], step: int
    ) -> None:
        started = time.perf_counter()
        plan = self._plan
        batch = self._bank.batch(step, plan, self._device)
        optimizer.zero_grad()
        terms = method.loss(batch, model, self._reference)
        loss = torch.stack([term.weight * term.value for term in terms]).sum()
        if not math.isfinite(float(loss.detach())):
            raise TrainingDiverged(
                f"The loss is {float(loss.detach())} in step {step + 1} of {plan.steps}, at a learning rate of "
                f"{plan.learning_rate:.3g}; lower the learning rate or the strength."
            )
        loss.backward()  # type: ignore[no-untyped-call] # torch's own
        for name, mask in masks.items():
            grad = self._parameters[name].grad
            if grad is not None:
                grad.mul_(mask)
        norm = nn.utils.clip_grad_norm_(list(self._parameters.values()), plan.max_grad_norm)
        for group in optimizer.param_groups:
            group["lr"] = plan.learning_rate * min(1.0, (step + 1) / max(1, plan.warmup_steps))
        optimizer.step()
        if self._progress is not None:
            self._progress(
                DenoisingReport(
                    step=step + 1,
                    steps=plan.steps,
                    loss=float(loss.detach()),
                    terms={term.name: float(term.value.detach()) for term in terms},
                    grad_norm=float(norm),
                    step_s=time.perf_counter() - started,
                )
            )

    def _saliency(self, method: SalientLoss, model: CalledDenoiser) -> dict[str, Tensor]:
        """1 where a weight is among the most salient, over all weights together."""
        for number in range(_SALIENCY_BATCHES):
            batch: DenoisingBatch = self._bank.batch(-1 - number, self._plan, self._device)
            method.saliency(batch, model, self._reference).backward()  # type: ignore[no-untyped-call] # torch's own
        sizes = {
            name: (one.grad if one.grad is not None else torch.zeros_like(one)).abs()
            for name, one in self._parameters.items()
        }
        everything = torch.cat([one.flatten() for one in sizes.values()])
        least = everything.kthvalue(max(1, round((1 - method.saliency_share) * len(everything)))).values
        for one in self._parameters.values():
            one.grad = None
        return {name: (one >= least).to(one) for name, one in sizes.items()}

    def _checkpoint_file(self, method: DenoisingLoss) -> CheckpointFile | None:
        if self._checkpoints is None or not self._plan.save_every_steps:
            return None
        return CheckpointFile(path=self._checkpoints / "denoiser.pt", work={**self._work, "method": f"{method!r}"})

    def _save(self, file: CheckpointFile, optimizer: Any, done: int) -> None:
        finished = done == self._plan.steps
        state = {} if finished else state_of(optimizer, self._parameters)
        file.save(Checkpoint(step=done, finished=finished, weights=copied(self._parameters), optimizer=state))


class _WithoutAddition:
    """The denoiser with its low-rank addition switched off."""

    def __init__(self, denoiser: nn.Module) -> None:
        self._denoiser: Any = denoiser
        self._call = CalledDenoiser(denoiser)

    def __call__(self, inputs: Values, text: Text) -> Tensor:
        self._denoiser.disable_adapters()
        try:
            return self._call(inputs, text)
        finally:
            self._denoiser.enable_adapters()


def _products(denoiser: nn.Module) -> dict[str, Tensor]:
    """What a low-rank addition comes to, by name of the weight that it stands beside."""
    found = {}
    for name, module in denoiser.named_modules():
        if hasattr(module, "get_delta_weight") and hasattr(module, "base_layer"):
            made: Any = module
            found[f"{name}.weight"] = made.get_delta_weight(ADAPTER).detach().cpu()
    return found
