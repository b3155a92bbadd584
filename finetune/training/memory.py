"""Will it fit? An estimate of what a run needs at its peak, before it starts, and what is free.

    weights      frozen and trained ones, once
    gradients    one for each trained weight
    optimizer    AdamW's two moments for each trained weight, and what it works with
    copies       the reference where it is a copy, and all weights rounded where gradients are taken there; on the host also
                 the trained weights as they were
    activations  what one micro-batch keeps for the way back
    logits       what a loss over the whole vocabulary keeps: logits, log-probabilities and their gradients, in float32

Weights and states are exact, activations rough: counted for layers of attention and a gated MLP whose attention does
not keep its T x T scores. All sizes in bytes. It does not know methods: only which parts they read. Memory that cannot
be measured is not held against a run. Sources: Korthikanti et al. 2022, arXiv 2205.05198, for what a layer keeps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from finetune.errors import NotEnoughMemory
from finetune.methods.language.protocol import Need
from finetune.settings import LoraAdapter, TrainingPlan
from finetune.training.adapter import computed_in, linear_layers, trained_in

_KEPT_HIDDEN = 14
"""Vectors of the hidden size that a layer keeps for a token: norms and their casts, queries to outputs, two residuals."""
_KEPT_INNER = 5
"""Vectors of the MLP's inner size: gate, its activation, up, product, and a gradient on the way back."""
_KEPT_LORA = 2
"""Share of inputs that a LoRA keeps once more, as a factor of the hidden size a layer."""
_LOGITS_COPIES = 4
_REFERENCE_LOGITS_COPIES = 2
_GIB = 1024**3


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSizes:
    """What of a model decides its need of memory. `linear_ends`: inputs and outputs of all linear layers together."""

    weights: int
    trained: int
    layers: int
    hidden: int
    inner: int
    vocabulary: int
    linear_ends: int

    @classmethod
    def of(cls, model: nn.Module) -> ModelSizes:
        """Of a model that is trainable already. What its configuration does not say counts as 0."""
        config: Any = getattr(model, "config", None)
        config = config.get_text_config() if hasattr(config, "get_text_config") else config
        hidden = int(getattr(config, "hidden_size", 0) or 0)
        modules = dict(model.named_modules())
        ends = 0
        for name in linear_layers(model):
            if "lora_" in name:  # an adapter's own
                continue
            layer: Any = modules[name]
            ends += int(layer.in_features) + int(layer.out_features)
        return cls(
            weights=sum(one.numel() for one in model.parameters()),
            trained=sum(one.numel() for one in model.parameters() if one.requires_grad),
            layers=int(getattr(config, "num_hidden_layers", 0) or 0),
            hidden=hidden,
            inner=int(getattr(config, "intermediate_size", 0) or 4 * hidden),
            vocabulary=int(getattr(config, "vocab_size", 0) or 0),
            linear_ends=ends,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What a run reads: what its method needs, and sequences of at most `longest_tokens`."""

    needs: frozenset[Need]
    longest_tokens: int
    shards: int = 1
    """Processes over which weights and their states are cut."""

    @property
    def reference(self) -> bool:
        """Whether the model as it was is asked too."""
        return Need.REFERENCE in self.needs

    def tokens(self, plan: TrainingPlan) -> int:
        """Of all parts of a micro-batch, if every sequence is as long as the longest."""
        return sum(self._parts(plan)) * plan.batch_size * self.longest_tokens

    def reference_tokens(self, plan: TrainingPlan) -> int:
        """Of its largest part: the reference is asked about one at a time."""
        return max(self._parts(plan)) * plan.batch_size * self.longest_tokens if self.reference else 0

    def _parts(self, plan: TrainingPlan) -> tuple[int, int, int]:
        return (1, plan.retain_per_forget * (Need.RETAIN in self.needs), int(Need.ALTERNATIVE in self.needs))


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryEstimate:
    """Bytes at the peak, on the device that trains."""

    weights: int
    gradients: int
    optimizer: int
    copies: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        """All together."""
        return self.weights + self.gradients + self.optimizer + self.copies + self.activations + self.logits

    def __str__(self) -> str:
        parts = ("weights", "gradients", "optimizer", "copies", "activations", "logits")
        return ", ".join(f"{name} {_shown(getattr(self, name))}" for name in parts)


def estimate(sizes: ModelSizes, plan: TrainingPlan, load: Load, *, on_host: bool = True) -> MemoryEstimate:
    """What a run needs."""
    wide, narrow = trained_in(plan).itemsize, computed_in(plan).itemsize
    lora = isinstance(plan.where, LoraAdapter)
    tokens = load.tokens(plan)
    layer = (_KEPT_HIDDEN + _KEPT_LORA * lora) * sizes.hidden + _KEPT_INNER * sizes.inner
    kept = sizes.layers * sizes.hidden + layer if plan.gradient_checkpointing else sizes.layers * layer
    logits = tokens * _LOGITS_COPIES + load.reference_tokens(plan) * _REFERENCE_LOGITS_COPIES
    trained = sizes.trained * wide // load.shards
    frozen = (sizes.weights - sizes.trained) * narrow
    copies = sizes.trained * wide + frozen if load.reference and not lora else 0
    if plan.rounded_bits is not None:
        copies += frozen if lora else sizes.trained * wide + frozen
    return MemoryEstimate(
        weights=trained + frozen // load.shards,
        gradients=trained,
        optimizer=2 * trained,
        copies=copies + (sizes.trained * wide if on_host else 0),
        activations=tokens * kept * narrow,
        logits=logits * sizes.vocabulary * 4,
    )


def check_fits(sizes: ModelSizes, plan: TrainingPlan, load: Load, *, free: int, on_host: bool = True) -> None:
    """Raise `NotEnoughMemory`, saying what would fit, if the estimate is above `free` bytes."""
    needed = estimate(sizes, plan, load, on_host=on_host)
    if needed.total <= free:
        return
    mends: list[str] = []
    for ways in _smaller(sizes, plan):
        for what, smaller_plan, smaller_sizes in ways:
            size = estimate(smaller_sizes, smaller_plan, load, on_host=on_host).total
            if size <= free:
                mends.append(f"{what} ({_shown(size)})")
                break
    advice = f"Would fit: {'; '.join(mends)}." if mends else "Nothing smaller fits: use a smaller model or more memory."
    raise NotEnoughMemory(f"Training needs about {_shown(needed.total)} ({needed}); free: {_shown(free)}. {advice}")


def _smaller(sizes: ModelSizes, plan: TrainingPlan) -> Iterator[list[tuple[str, TrainingPlan, ModelSizes]]]:
    """Ways to need less, each by itself, and last all together. Of each list the first that fits is enough."""
    batches = [max(1, plan.batch_size >> halved) for halved in range(1, plan.batch_size.bit_length())]
    per_step = plan.accumulation * plan.batch_size
    yield [
        (
            f"batch_size {batch} with accumulation {math.ceil(per_step / batch)}",
            plan.model_copy(update={"batch_size": batch, "accumulation": math.ceil(per_step / batch)}),
            sizes,
        )
        for batch in batches
    ]
    if not plan.gradient_checkpointing:
        yield [("gradient_checkpointing", plan.model_copy(update={"gradient_checkpointing": True}), sizes)]
    all_of_it = plan.model_copy(update={"batch_size": 1, "gradient_checkpointing": True})
    if not isinstance(plan.where, LoraAdapter):
        lora = LoraAdapter()
        added = lora.rank * sizes.linear_ends
        sizes = replace(sizes, trained=added, weights=sizes.weights + added)
        yield [(f"LoRA of rank {lora.rank}", plan.model_copy(update={"where": lora}), sizes)]
        all_of_it = all_of_it.model_copy(update={"where": lora})
    yield [("batch_size 1, gradient_checkpointing and LoRA together", all_of_it, sizes)]


def _shown(size: int) -> str:
    return f"{size / _GIB:.2f} GiB" if size >= _GIB / 10 else f"{size / 1024**2:.1f} MiB"
