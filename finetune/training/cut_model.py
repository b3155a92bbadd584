"""A model whose weights FSDP has cut up over processes, and the whole one that can be written to files.

It does not know training. A skeleton is taken before the cut: the same modules, with no memory for weights.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule


def skeleton_of(model: nn.Module) -> nn.Module:
    """The same modules, whose weights take no memory; weights that are tied stay tied."""
    empty = {id(one): _parameter(torch.empty_like(one, device="meta"), one) for one in model.parameters()}
    return copy.deepcopy(model, dict(empty))


def filled(skeleton: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    """A model on the host with these weights by name; the skeleton stays as it is."""
    given = {id(one): _parameter(weights[name], one) for name, one in skeleton.named_parameters()}
    return copy.deepcopy(skeleton, dict(given)).to("cpu").eval()


def forget_gathered(model: nn.Module) -> None:
    """Let go of weights that were put together for a forward pass and would hide what is written to their parts."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def _parameter(values: Tensor, like: nn.Parameter) -> nn.Parameter:
    return nn.Parameter(values, requires_grad=like.requires_grad)
