"""Quantisation: round the weights as a server would, and see whether what was forgotten comes back.

Simulated: weights are rounded to what 8 or 4 bits can hold (`data/rounded_weights.py`) and kept in their dtype, so it
runs on any device; activations are not rounded. That unlearning may not survive it: Zhang et al. 2024 (Catastrophic
Failure of LLM Unlearning via Quantization, arXiv:2410.16454).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import torch
from torch import nn

from finetune.data.rounded_weights import ROUNDED, UNROUNDED, Bits
from finetune.errors import InvalidPlan, ModelUnsuitable

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantisation:
    """`bits` 8 or 4; `skip` are endings of module names that stay as they are."""

    name: ClassVar[str] = "quantisation"
    paper: ClassVar[str] = (
        "Zhang et al. 2024, Catastrophic Failure of LLM Unlearning via Quantization, arXiv:2410.16454"
    )

    bits: Bits = 4
    skip: tuple[str, ...] = UNROUNDED

    def __post_init__(self) -> None:
        if self.bits not in (8, 4):
            raise InvalidPlan(f"Quantisation to {self.bits} bits is not simulated; take 8 or 4.")

    def run(self, model: Model) -> Model:
        """A rounded copy; the model stays as it is. Raises `ModelUnsuitable` for an adapter that is not merged, and for a
        model without linear layers."""
        if hasattr(model, "peft_config"):
            raise ModelUnsuitable(
                "The model carries an adapter, which servers keep unrounded; merge it before quantisation."
            )
        rounded = copy.deepcopy(model)
        layers = [
            module
            for name, module in rounded.named_modules()
            if isinstance(module, nn.Linear) and not name.endswith(self.skip or ("\0",))
        ]
        if not layers:
            raise ModelUnsuitable("The model has no linear layer to quantise; only torch.nn.Linear is rounded.")
        with torch.no_grad():
            for layer in layers:
                layer.weight.copy_(ROUNDED[self.bits](layer.weight))
        return rounded
