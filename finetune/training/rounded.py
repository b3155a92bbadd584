"""Training for a server that rounds: every gradient is taken at the weights as they will be in 8 or 4 bits.

    theta <- theta - rate * gradient of L at r(theta),   r: `data/rounded_weights.py`, its derivative taken as 1

so that what is unlearnt is unlearnt between the levels to which a server rounds. Under LoRA r(W + A B) is read, and A and B
are trained. Sources: Zhang et al. 2024, "Catastrophic Failure of LLM Unlearning via Quantization", arXiv:2410.16454, for
why; Bengio et al. 2013, "Estimating or Propagating Gradients Through Stochastic Neurons for Conditional Computation",
arXiv:1308.3432, for the derivative. Differs: the former trains salient
modules at a large learning rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from finetune.data.rounded_weights import ROUNDED, UNROUNDED, Bits
from finetune.errors import ModelUnsuitable
from finetune.methods.language.protocol import LanguageModel

_BASE = "base_layer"


class RoundedWeights:
    """The linear layers of a model, and how they are read rounded for a while."""

    def __init__(self, model: nn.Module, bits: Bits) -> None:
        """Raises `ModelUnsuitable` for a model without linear layers that a server would round."""
        self._rounded = ROUNDED[bits]
        modules = dict(model.named_modules())
        self._layers: list[tuple[Any, Any]] = []
        for name, module in modules.items():
            place = name.removesuffix(f".{_BASE}")
            if isinstance(module, nn.Linear) and ".lora_" not in name and not place.endswith(UNROUNDED):
                self._layers.append((module, modules[place] if place != name else None))
        if not self._layers:
            raise ModelUnsuitable("rounded_bits: the model has no linear layer that would be rounded; leave it out.")
        self._exact: list[Tensor] = []

    @contextmanager
    def read(self) -> Iterator[None]:
        """Within it the model is the rounded one; the way back must be within it, too."""
        self._exact = [layer.weight.data for layer, _ in self._layers]
        try:
            for layer, adapted in self._layers:
                layer.weight.data = self._made(layer.weight.data, adapted)
            yield
        finally:
            self._swap()
            self._exact = []

    def unrounded(self, reference: LanguageModel | None) -> LanguageModel | None:
        """The reference, which is as it was; under LoRA it shares its weights with the model."""
        if reference is None:
            return None

        def call(**inputs: Any) -> Any:
            self._swap()
            try:
                return reference(**inputs)
            finally:
                self._swap()

        return call

    def _made(self, weight_OI: Tensor, adapted: Any) -> Tensor:
        """What the layer must hold so that it is rounded together with what an adapter adds to it."""
        with torch.no_grad():
            if adapted is None:
                return self._rounded(weight_OI)
            added_OI = sum(adapted.get_delta_weight(name).float() for name in adapted.active_adapters)
            whole_OI = weight_OI.float() + added_OI
            made_OI: Tensor = (self._rounded(whole_OI) - added_OI).to(weight_OI.dtype)
            return made_OI

    def _swap(self) -> None:
        for place, (layer, _) in enumerate(self._layers):
            layer.weight.data, self._exact[place] = self._exact[place], layer.weight.data
