"""One process or many: what a launcher set up, and what processes have to agree on.

Processes each take their share of a step. Without FSDP every one holds the whole model, and gradients are added up here:
torch's own data parallelism wants every weight in every loss, which a loss on inner states does not have. With FSDP
(version 2) each holds a part of every weight. Whatever would change the numbers or was never tried is refused, not
ignored. It does not know models, data or steps.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch
from accelerate import Accelerator, PartialState
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.utils import DistributedType, GradientAccumulationPlugin, broadcast_object_list, gather_object
from torch import Tensor, nn
from torch.distributed.fsdp import CPUOffloadPolicy

from finetune.errors import InvalidPlan

_SENT_TOGETHER = 2**25
"""Numbers that are added up over processes in one message, as long as no single weight has more."""

_T = TypeVar("_T")
_KNOWN = ("NO", "MULTI_CPU", "MULTI_GPU", "MULTI_XPU", "MULTI_NPU", "FSDP")


def launched() -> Accelerator:
    """What `accelerate launch` (or nothing) set up. Raises `InvalidPlan` where that cannot be used."""
    try:
        # Micro-batches are summed by us, over a whole step's units; accelerate must not divide once more.
        accelerator = Accelerator(gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1))
    except (ValueError, ImportError, KeyError) as error:
        raise InvalidPlan(f"accelerate cannot use its own configuration: {error}") from error
    check_launch(accelerator)
    return accelerator


def check_launch(accelerator: Accelerator) -> None:
    """Raise `InvalidPlan`, naming every option, for a configuration under which a run would not be what its plan says."""
    faults = [*_faults(accelerator)]
    if is_cut(accelerator):
        faults += _faults_of_fsdp(accelerator.state.fsdp_plugin)
    if faults:
        raise InvalidPlan(f"accelerate's configuration does not suit: {'; '.join(faults)}.")


def is_main_process() -> bool:
    """Whether this process is the one that speaks; the only one is."""
    return bool(PartialState().is_main_process)


def is_cut(accelerator: Accelerator) -> bool:
    """Whether weights are cut up over processes."""
    return bool(accelerator.distributed_type == DistributedType.FSDP)


def prepared(
    accelerator: Accelerator, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[nn.Module, AcceleratedOptimizer]:
    """The model on this process's device, cut up under FSDP, and its optimiser. Raises `InvalidPlan` where that fails."""
    if not is_cut(accelerator):
        return model.to(accelerator.device), accelerator.prepare(optimizer)
    try:
        model, optimizer = accelerator.prepare(model, optimizer)
    except ValueError as error:
        raise InvalidPlan(f"FSDP cannot cut up this model as it is configured: {error}") from error
    return model, optimizer


def check_alike(accelerator: Accelerator, things: Mapping[str, str]) -> None:
    """Raise `InvalidPlan`, in every process, if they do not all have the same of each thing. All must call it."""
    if accelerator.num_processes == 1:
        return
    everywhere: list[dict[str, str]] = gather_object([dict(things)])
    differs = [name for name in things if len({one[name] for one in everywhere}) > 1]
    if differs:
        raise InvalidPlan(
            f"The {len(everywhere)} processes do not have the same {', '.join(differs)}. Give all of them the same files, "
            "in folders that they all see, and the same seed."
        )


def from_main(accelerator: Accelerator, value: _T) -> _T:
    """The main process's value in every process. All must call it."""
    if accelerator.num_processes == 1:
        return value
    shared: list[_T] = broadcast_object_list([value])
    return shared[0]


def add_up(gradients: Sequence[Tensor]) -> None:
    """Put in place of each gradient its sum over processes; they have all the same ones."""
    for group in _groups(gradients):
        flat = torch.cat([one.reshape(-1) for one in group])
        torch.distributed.all_reduce(flat)
        for one, summed in zip(group, torch.split(flat, [one.numel() for one in group]), strict=True):
            one.copy_(summed.view_as(one))


def _groups(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    group: list[Tensor] = []
    numbers = 0
    for one in gradients:
        if group and numbers + one.numel() > _SENT_TOGETHER:
            yield group
            group, numbers = [], 0
        group.append(one)
        numbers += one.numel()
    if group:
        yield group


def _faults(accelerator: Accelerator) -> Iterator[str]:
    kind = str(accelerator.distributed_type.value)
    if kind not in _KNOWN:
        yield f"{kind} is not supported; use plain processes (MULTI_GPU) or FSDP version 2"
    asked = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    if asked and not is_cut(accelerator):
        yield (
            f"FSDP is asked for, but without effect ({kind} on {accelerator.device.type}); it needs GPUs and "
            "`accelerate launch`, else unset ACCELERATE_USE_FSDP"
        )
    if accelerator.mixed_precision != "no":
        yield f"mixed_precision is {accelerator.mixed_precision}; set it to no: the plan's dtype decides"
    if accelerator.gradient_accumulation_steps != 1:
        yield (
            f"gradient_accumulation_steps is {accelerator.gradient_accumulation_steps}; set it to 1: the plan's "
            "accumulation decides"
        )
    compiled: Any = accelerator.state.dynamo_plugin
    if compiled is not None and compiled.backend.value != "NO":
        yield f"dynamo_backend is {compiled.backend.value}; set it to no: compiled models were never tried"
    if getattr(accelerator, "parallelism_config", None) is not None:
        yield "a parallelism_config is set; leave it out: only weights and sequences are shared between processes"


def _faults_of_fsdp(plugin: Any) -> Iterator[str]:
    if plugin.fsdp_version != 2:
        yield f"fsdp_version is {plugin.fsdp_version}; set it to 2 (FSDP_VERSION=2)"
        return
    if plugin.cpu_ram_efficient_loading:
        yield "fsdp_cpu_ram_efficient_loading is on; set it to false: every process must hold the same model at the start"
    if isinstance(plugin.cpu_offload, CPUOffloadPolicy):
        yield "fsdp_offload_params is on; set it to false: it was never tried"
    if plugin.activation_checkpointing:
        yield "fsdp_activation_checkpointing is on; set it to false: the plan's gradient_checkpointing decides"
    if plugin.ignored_modules:
        yield "fsdp_ignored_modules is set; leave it out: their gradients would not be added up"
    if plugin.mixed_precision_policy is not None:
        yield "the plug-in has a mixed_precision_policy; leave it out: the plan's dtype decides"
