"""Train a model by any loss method: the steps, their gradients, when to stop and where to go on.

    step = terms of each micro-batch, over the whole step's units -> gradients -> cut -> AdamW -> report -> checkpoint?

It does not know what a method computes, where data come from or what a model is for. It runs under `accelerate`, as one
process or as many: started by `accelerate launch`, every process takes its share of each step. Plain data parallelism
or FSDP (version 2) is what accelerate's own configuration says; what does not suit is refused (`processes.py`). Under
FSDP, LoRA's reference is cut up like the model; a copied one lies whole on every GPU.

    trainer = Trainer(model, data, plan, needs=method.needs)
    trainer.train(method)
    save_adapter(trainer.model, folder)  # under a launcher: `whole_model`, in the main process

Source: Loshchilov and Hutter 2017, AdamW, arXiv 1711.05101.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from finetune.errors import InvalidPlan, ModelUnsuitable, TrainingDiverged
from finetune.methods.language.losses import Predictions
from finetune.methods.language.protocol import LossMethod, Need, Part, SteeredLoss
from finetune.settings import TrainingPlan
from finetune.training.adapter import (
    Reference,
    compute_anew,
    computed_in,
    copied,
    frozen_copy,
    is_lora,
    make_trainable,
    trained_parameters,
    whole,
    write,
)
from finetune.training.checkpoint import Checkpoint, CheckpointFile, model_fingerprint
from finetune.training.cut_model import filled, forget_gathered, skeleton_of
from finetune.training.early_stop import token_probability
from finetune.training.free_memory import free_bytes
from finetune.training.gradients import gradients
from finetune.training.memory import Load, ModelSizes, check_fits
from finetune.training.model_files import context_of, vocabulary_of
from finetune.training.numerics import calling, repeatable, seed_step
from finetune.training.optimizer import adamw, put_state, state_of
from finetune.training.processes import check_alike, check_launch, is_cut, launched, prepared
from finetune.training.relabelling import relabelled
from finetune.training.robust import WorstEmbeddings, worst_weights
from finetune.training.rounded import RoundedWeights
from finetune.training.steered import changed_fields, replace_fields
from finetune.training.steps import Step, StepOrder, TrainingData


@dataclass(frozen=True, kw_only=True, slots=True)
class StepReport:
    """What a step came to. `terms` are means without their weights, `loss` is their weighted sum; `tokens` counts all
    processes' without padding, `grad_norm` is before it is cut; `ends_epoch`: the forget part was gone through."""

    step: int
    steps: int
    epoch: int
    loss: float
    terms: Mapping[str, float]
    learning_rate: float
    grad_norm: float
    tokens: int
    step_s: float
    ends_epoch: bool = False


class Trainer:
    """The loop, and what recipes see of it. The model is changed; `train` may be called again and goes on from there."""

    def __init__(
        self,
        model: nn.Module,
        data: TrainingData,
        plan: TrainingPlan,
        *,
        needs: frozenset[Need] = frozenset(),
        checkpoints: Path | None = None,
        on_step: Callable[[StepReport], bool] | None = None,
        progress: Callable[[StepReport], None] | None = None,
        free_memory: Callable[[torch.device], int | None] = free_bytes,
        accelerator: Accelerator | None = None,
    ) -> None:
        """`needs` are those of all methods to be trained. `on_step` ends a run by True; `progress` only looks.

        A run that was interrupted goes on from the folder `checkpoints`. Raises `InvalidData`, `InvalidPlan`,
        `ModelUnsuitable` or `NotEnoughMemory` before any work is done.
        """
        self._plan, self._data, self._needs = plan, data, needs
        self._on_step, self._progress, self._checkpoints = on_step, progress, checkpoints
        self._accelerator = accelerator or launched()
        check_launch(self._accelerator)
        self._stage = 0
        data.check(needs, vocabulary=vocabulary_of(model), context=context_of(model))
        model = make_trainable(model, plan)
        self._check_memory(model, free_memory)
        self._fingerprint = model_fingerprint(model)
        alike = {"model": self._fingerprint, "data": data.fingerprint(), "plan": plan.model_dump_json()}
        check_alike(self._accelerator, alike)
        twin = frozen_copy(model) if Need.REFERENCE in needs and not is_lora(model) else None
        if plan.gradient_checkpointing:
            compute_anew(model)
        optimizer = adamw(trained_parameters(model), weight_decay=plan.weight_decay)
        self._skeleton = skeleton_of(model) if is_cut(self._accelerator) else None
        self._model, self._optimizer = prepared(self._accelerator, model, optimizer)
        self._all_parameters = dict(self._model.named_parameters())
        self._parameters = trained_parameters(self._model)
        self._start = copied(self._parameters)
        self._call = calling(self._model, computed_in(plan))
        self._worst = self._worst_embeddings()
        self._rounded = self._rounded_weights()
        self._reference: Reference | None = None
        if twin is not None:
            self._reference = Reference(twin, calling(twin.to(self._accelerator.device), computed_in(plan)))
        elif Need.REFERENCE in needs:
            self._reference = Reference(self.model, self._call)

    @property
    def model(self) -> nn.Module:
        """The model as it now is; under LoRA wrapped by peft. Under FSDP all processes must call it together."""
        return self._model

    def whole_model(self) -> nn.Module | None:
        """The model to be written to files, in the main process; None in others. All processes must ask for it.

        Under FSDP it is a copy in the host's memory, else the model itself.
        """
        is_main = self._accelerator.is_main_process
        if self._skeleton is None:
            return self._model if is_main else None
        weights = copied(self._all_parameters, keep=is_main)
        return filled(self._skeleton, weights) if is_main else None

    def weights(self) -> dict[str, Tensor]:
        """A copy of the weights that are trained, by name, in the host's memory. All processes must ask for it."""
        return copied(self._parameters)

    def add(self, deltas: Mapping[str, Tensor]) -> None:
        """Add to the weights that are trained. Raises `InvalidPlan` for other names or shapes."""
        forget_gathered(self._model)
        write(self._parameters, deltas, add=True)

    def forget_probability(self) -> float:
        """The `token_probability` of the forget part, for `on_step`. Under a launcher all processes must ask for it."""
        self._model.eval()
        return token_probability(
            self._call,
            self._data.forget,
            pad_token=self._data.pad_token,
            batch_size=self._plan.batch_size,
            device=self._accelerator.device,
        )

    def reset(self) -> None:
        """Back to the weights before any training."""
        forget_gathered(self._model)
        write(self._parameters, self._start)

    def train(self, method: LossMethod, *, swap: Mapping[Part, Part] | None = None) -> None:
        """One run under the plan, with an optimiser that begins anew.

        Raises `TrainingDiverged`, `CheckpointBroken`, or `InvalidData` and `InvalidPlan` for what the method lacks.
        """
        if Need.REFERENCE in method.needs and self._reference is None:
            raise InvalidPlan(
                f"'{method.name}' needs a reference, which must be the model before any training: "
                "give the trainer needs=method.needs when it is made."
            )
        data = self._data.renamed(swap).only(method.needs)
        data.check(method.needs, vocabulary=vocabulary_of(self.model), context=context_of(self.model))
        order = StepOrder(data=data, plan=self._plan, processes=self._accelerator.num_processes)
        file = self._checkpoint_file(method, data)
        done, finished, steered = self._resume(file)
        now = replace_fields(method, steered)
        with self._running():
            while not finished:
                report = self._step(now, order, done)
                now = now.after_step(report.terms) if isinstance(now, SteeredLoss) else now
                done += 1
                finished = self._ends(report)
                if finished:
                    self._refuse_broken(report)
                if file is not None and (finished or done % self._plan.save_every_steps == 0):
                    self._save(file, done, finished, steered=changed_fields(method, now))
        self._stage += 1

    def relabel(self, labels: Callable[[Predictions, Predictions], Tensor]) -> None:
        """From now on other tokens are learnt in the forget part (`RecipeTrainer.relabel`)."""
        if self._reference is None:
            raise InvalidPlan(
                "New labels are made with the model as it was before: give the trainer the need of a reference."
            )
        self._model.eval()
        forget = relabelled(
            self._data.forget,
            self._call,
            self._reference,
            labels,
            pad_token=self._data.pad_token,
            batch_size=self._plan.batch_size,
            device=self._accelerator.device,
        )
        self._data = replace(self._data, forget=forget)

    def _step(self, method: LossMethod, order: StepOrder, number: int) -> StepReport:
        started = time.perf_counter()
        process = self._accelerator.process_index
        seed_step(self._plan.seed, self._stage, number, process)
        if not self._model.training:  # a callable may have judged the model
            self._model.train()
        step = order.step(number, process=process)
        learning_rate = order.learning_rate(number)
        self._optimizer.zero_grad()
        means, loss = self._gradients(method, step)
        grad_norm = self._update(method, step, learning_rate) if means and math.isfinite(loss) else 0.0
        for what, value in (("loss", loss), ("gradient's norm", grad_norm)):
            if not math.isfinite(value):
                raise TrainingDiverged(
                    f"The {what} is {value} in step {number + 1} of {order.steps}, at a learning rate of "
                    f"{learning_rate:.3g}; the weights are those of the step before. Lower the learning rate or the "
                    "weight of the forget term, or lengthen the warm-up."
                )
        return StepReport(
            step=number + 1,
            steps=order.steps,
            epoch=step.epoch + 1,
            loss=loss,
            terms=means,
            learning_rate=learning_rate,
            grad_norm=grad_norm,
            tokens=step.tokens,
            step_s=time.perf_counter() - started,
            ends_epoch=(number + 1) % order.steps_per_epoch == 0,
        )

    def _worst_embeddings(self) -> WorstEmbeddings | None:
        if self._plan.embeddings_radius is None:
            return None
        embeddings: Any = getattr(self.model, "get_input_embeddings", lambda: None)()
        if embeddings is None:
            raise ModelUnsuitable("embeddings_radius: the model has no input embeddings to move; leave it out.")
        return WorstEmbeddings(embeddings, self._plan.embeddings_radius)

    def _rounded_weights(self) -> RoundedWeights | None:
        if self._plan.rounded_bits is None:
            return None
        if is_cut(self._accelerator):
            raise InvalidPlan(
                "rounded_bits: FSDP cuts weights up, where they are rounded whole; leave one of them out."
            )
        return RoundedWeights(self.model, self._plan.rounded_bits)

    def _refuse_broken(self, last: StepReport) -> None:
        """A loss tells of the weights before its step; those after the last step are looked at themselves."""
        broken = [name for name, one in self._parameters.items() if not bool(torch.isfinite(whole(one.detach())).all())]
        if broken:
            raise TrainingDiverged(
                f"{len(broken)} weights are no finite numbers after the last step, {last.step} of {last.steps}, at a "
                f"learning rate of {last.learning_rate:.3g} (the first: '{broken[0]}'). Lower the learning rate."
            )

    def _gradients(self, method: LossMethod, step: Step) -> tuple[dict[str, float], float]:
        rounded = self._rounded
        with rounded.read() if rounded is not None else nullcontext():
            return gradients(
                method,
                step,
                self._call,
                rounded.unrounded(self._reference) if rounded is not None else self._reference,
                wrapped=self._model,
                accelerator=self._accelerator,
                worst=self._worst,
            )

    def _update(self, method: LossMethod, step: Step, learning_rate: float) -> float:
        """Cut the gradients and take the step, unless they are not finite; gives their norm before. With a radius they are
        those at the worst weights nearby."""
        if self._plan.weights_radius is not None:
            norm = float(whole(self._accelerator.clip_grad_norm_(list(self._parameters.values()), math.inf)))
            if not math.isfinite(norm):
                return norm
            with worst_weights(self._parameters, self._plan.weights_radius, norm):
                self._optimizer.zero_grad()
                self._gradients(method, step)
        most = self._plan.max_grad_norm if self._plan.max_grad_norm is not None else math.inf
        cut: Tensor = self._accelerator.clip_grad_norm_(list(self._parameters.values()), most)
        grad_norm = float(whole(cut))
        if math.isfinite(grad_norm):
            for group in self._optimizer.param_groups:
                group["lr"] = learning_rate
            self._optimizer.step()
        return grad_norm

    def _ends(self, report: StepReport) -> bool:
        if self._progress is not None and self._accelerator.is_main_process:
            self._progress(report)
        stop = self._on_step is not None and bool(self._on_step(report))
        if self._accelerator.num_processes > 1:  # one process that stops must not leave the others waiting
            flag = torch.tensor(float(stop), device=self._accelerator.device)
            stop = bool(self._accelerator.reduce(flag, reduction="sum") > 0)
        return stop or report.step == report.steps

    @contextmanager
    def _running(self) -> Iterator[None]:
        config: Any = getattr(self.model, "config", None)
        used_cache = getattr(config, "use_cache", None)
        if used_cache is not None:
            config.use_cache = False
        try:
            with repeatable(self._accelerator.device, strictly=self._plan.deterministic):
                yield
        finally:
            if used_cache is not None:
                config.use_cache = used_cache
            self._optimizer.zero_grad()
            self._model.eval()

    def _check_memory(self, model: nn.Module, free_memory: Callable[[torch.device], int | None]) -> None:
        device = self._accelerator.device
        free = free_memory(device)
        if free is None:
            return
        load = Load(
            needs=self._needs,
            longest_tokens=self._data.only(self._needs).longest_tokens(),
            shards=self._accelerator.num_processes if is_cut(self._accelerator) else 1,
        )
        present = sum(one.nbytes for one in model.parameters() if one.device.type == device.type)
        check_fits(ModelSizes.of(model), self._plan, load, free=free + present, on_host=device.type == "cpu")

    def _checkpoint_file(self, method: LossMethod, data: TrainingData) -> CheckpointFile | None:
        if self._checkpoints is None or not self._plan.save_every_steps:
            return None
        work = {
            "plan": self._plan.model_dump_json(exclude={"save_every_steps"}),
            "data": data.fingerprint(),
            "method": f"{method.name}: {method!r}",
            "model": self._fingerprint,
            "number of processes": str(self._accelerator.num_processes),
        }
        return CheckpointFile(path=self._checkpoints / f"stage-{self._stage}.pt", work=work)

    def _resume(self, file: CheckpointFile | None) -> tuple[int, bool, Mapping[str, float]]:
        """Steps that are done, whether they were all, and what they made of the loss."""
        found = file.load() if file is not None else None
        check_alike(self._accelerator, {"checkpoint": str(found and (found.step, found.finished))})
        inner = self._optimizer.optimizer
        if found is None:
            put_state(inner, self._parameters, {})
            return 0, False, {}
        forget_gathered(self._model)
        write(self._parameters, found.weights)
        put_state(inner, self._parameters, found.optimizer)
        return found.step, found.finished, found.steered

    def _save(self, file: CheckpointFile, done: int, finished: bool, *, steered: Mapping[str, float]) -> None:
        is_main = self._accelerator.is_main_process
        state = {} if finished else state_of(self._optimizer.optimizer, self._parameters, keep=is_main)
        weights = copied(self._parameters, keep=is_main)
        if is_main:
            file.save(Checkpoint(step=done, finished=finished, weights=weights, optimizer=state, steered=steered))
        self._accelerator.wait_for_everyone()
