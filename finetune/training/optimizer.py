"""AdamW over the weights that are trained, and its state by the weights' names.

Source: Loshchilov and Hutter 2017, arXiv 1711.05101.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from finetune.training.adapter import copied, like


def adamw(parameters: Mapping[str, nn.Parameter], *, weight_decay: float) -> torch.optim.AdamW:
    """Decays matrices, not norms and biases. The learning rate is set at every step."""
    matrices = [one for one in parameters.values() if one.ndim >= 2]
    others = [one for one in parameters.values() if one.ndim < 2]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=0.0)


def state_of(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter], *, keep: bool = True
) -> dict[str, dict[str, Tensor]]:
    """A copy of what the optimiser keeps for each weight, whole, in the host's memory; `keep` as for weights."""
    return {
        name: copied(optimizer.state[parameter], keep=keep)
        for name, parameter in parameters.items()
        if parameter in optimizer.state
    }


def put_state(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
    state: Mapping[str, Mapping[str, Tensor]],
) -> None:
    """In place of what the optimiser keeps; an empty state begins anew."""
    optimizer.state.clear()
    for name, kept in state.items():
        parameter = parameters[name]
        optimizer.state[parameter] = {
            key: like(value, parameter) if value.shape == parameter.shape else value.clone()  # the count of steps
            for key, value in kept.items()
        }
