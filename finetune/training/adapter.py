"""Which weights of a model are trained, reading and writing them by name, and the model as it was.

All weights, chosen modules or a LoRA adapter are alike from here on: parameters that require gradients, by name. It
does not know losses, steps or files. The reference needs no second copy of the model under LoRA, where it is the model
with its adapter switched off; else it is a frozen copy. Weights that FSDP (version 2) has cut up are put together when
they are read, and cut again when they are written.

Source: Hu et al. 2021, LoRA, arXiv 2106.09685.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from finetune.data.loading import without_peft_warnings
from finetune.errors import InvalidPlan, ModelUnsuitable
from finetune.settings import ChosenModules, FullWeights, LoraAdapter, TrainingPlan
from retrieval.errors import did_you_mean

_COMPUTED_IN = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}


def computed_in(plan: TrainingPlan) -> torch.dtype:
    """What frozen weights are kept in and products are computed in."""
    return _COMPUTED_IN[plan.dtype]


def trained_in(plan: TrainingPlan) -> torch.dtype:
    """What trained weights are kept in: small updates are lost in bfloat16."""
    return torch.float32 if plan.dtype == "bfloat16" else computed_in(plan)


def make_trainable(model: nn.Module, plan: TrainingPlan) -> nn.Module:
    """The model with the plan's weights trainable and the rest frozen; with LoRA it is wrapped by peft.

    The model itself is changed. Raises `ModelUnsuitable` where a pattern matches nothing or an adapter is there already.
    """
    if is_lora(model):
        raise ModelUnsuitable(
            "The model carries an adapter already; make it part of the weights first (`model_files.merged`)."
        )
    where = plan.where
    if isinstance(where, LoraAdapter):
        model = _with_lora(model, where, plan.seed)
    else:
        model.requires_grad_(isinstance(where, FullWeights))
        if isinstance(where, ChosenModules):
            for name in matching(where.patterns, _modules_with_weights(model), what="module"):
                model.get_submodule(name).requires_grad_(True)
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(trained_in(plan) if parameter.requires_grad else computed_in(plan))
    return model


def compute_anew(model: nn.Module) -> None:
    """Let the model compute its activations again on the way back. Raises `ModelUnsuitable` where it cannot."""
    # transformers 5 calls it by another name than 4
    enable: Any = getattr(model, "activation_checkpointing_enable", None)
    enable = enable or getattr(model, "gradient_checkpointing_enable", None)
    try:
        if enable is None:
            raise ValueError(f"{type(model).__name__} does not support it")
        enable({"use_reentrant": False})
    except ValueError as error:
        raise ModelUnsuitable(f"gradient_checkpointing: {error}. Leave it off and lower batch_size instead.") from error


def is_lora(model: nn.Module) -> bool:
    """Whether the model is wrapped by peft."""
    from peft import PeftModel

    return isinstance(model, PeftModel)


def matching(patterns: Sequence[str], names: Sequence[str], *, what: str) -> list[str]:
    """The names that a pattern matches whole. Raises `ModelUnsuitable` for a pattern that matches none."""
    found: dict[str, None] = {}
    for pattern in patterns:
        hits = [name for name in names if re.fullmatch(pattern, name)]
        if not hits:
            near = "', '".join(_nearest(pattern, names))
            raise ModelUnsuitable(
                f"The pattern '{pattern}' matches no {what} of the model; a pattern must match a whole name. "
                f"Nearest: '{near}'."
            )
        found |= dict.fromkeys(hits)
    return list(found)


def linear_layers(model: nn.Module) -> list[str]:
    """Names of the linear layers but the output head."""
    head = getattr(model, "get_output_embeddings", lambda: None)()
    return [name for name, module in model.named_modules() if isinstance(module, nn.Linear) and module is not head]


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters that are trained, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def copied(parameters: Mapping[str, Tensor], *, keep: bool = True) -> dict[str, Tensor]:
    """Copies in the host's memory, whole. A process that does not `keep` them only helps to put them together."""
    pieces = ((name, whole(parameter.detach())) for name, parameter in parameters.items())
    return {name: one.to("cpu", copy=True) for name, one in pieces if keep}


@torch.no_grad()
def write(parameters: Mapping[str, nn.Parameter], values: Mapping[str, Tensor], *, add: bool = False) -> None:
    """Put values in place of parameters, or `add` them. Raises `InvalidPlan` for other names or shapes."""
    for name, value in values.items():
        if name not in parameters:
            hint = did_you_mean(name, parameters)
            raise InvalidPlan(f"'{name}' is none of the {len(parameters)} weights that are trained.{hint}")
        if value.shape != parameters[name].shape:
            shapes = f"{tuple(value.shape)} for {tuple(parameters[name].shape)}"
            raise InvalidPlan(f"The values for '{name}' have another shape: {shapes}.")
    for name, value in values.items():
        part = like(value, parameters[name])
        if add:
            parameters[name].add_(part)
        else:
            parameters[name].copy_(part)


def whole(tensor: Tensor) -> Tensor:
    """The tensor itself, put together where it is spread over processes."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(value: Tensor, parameter: Tensor) -> Tensor:
    """A whole tensor on the device, in the type and with the cut of a parameter."""
    value = value.to(device=parameter.device, dtype=parameter.dtype)
    if isinstance(parameter, DTensor):
        return distribute_tensor(value, parameter.device_mesh, parameter.placements)
    return value


class Reference:
    """The model as it was: called without gradients and without dropout."""

    def __init__(self, model: nn.Module, call: Callable[..., Any]) -> None:
        """Of a LoRA model or of a frozen copy; `call` runs it (in some precision, over some processes)."""
        self._model = model
        self._call = call
        self._adapters = _adapter_layers(model)

    @torch.no_grad()
    def __call__(self, **inputs: Any) -> Any:
        """Forward."""
        was_training = self._model.training
        self._model.eval()
        try:
            with _switched_off(self._adapters):
                return self._call(**inputs)
        finally:
            self._model.train(was_training)


def frozen_copy(model: nn.Module) -> nn.Module:
    """A second model that is never trained, in the same types, so that it gives the very same until the first step."""
    twin = copy.deepcopy(model)
    twin.requires_grad_(False)
    return twin.eval()


def _with_lora(model: nn.Module, where: LoraAdapter, seed: int) -> nn.Module:
    from peft import LoraConfig, TaskType, get_peft_model

    linear = linear_layers(model)
    if not linear:
        raise ModelUnsuitable("The model has no linear layers for LoRA; train 'modules' or 'full' instead.")
    if where.targets:
        linear = matching(where.targets, linear, what="linear layer")
    else:  # the last part of each name is what servers of adapters expect
        linear = sorted({name.rpartition(".")[2] for name in linear})
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=where.rank,
        lora_alpha=where.alpha,
        lora_dropout=where.dropout,
        target_modules=linear,
    )
    # An adapter's weights are made in the host's memory, wherever the model is.
    with torch.random.fork_rng(devices=[]), without_peft_warnings():
        torch.default_generator.manual_seed(seed)
        wrapped: nn.Module = get_peft_model(model, config)
    return wrapped


def _modules_with_weights(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if name and any(True for _ in module.parameters())]


def _nearest(pattern: str, names: Sequence[str]) -> list[str]:
    """A full name for each last part that is nearest to the pattern's last word."""
    words = re.findall(r"[A-Za-z_]\w*", pattern)
    examples: dict[str, str] = {}
    for name in names:
        examples.setdefault(name.rpartition(".")[2], name)
    near = get_close_matches(words[-1] if words else pattern, examples, n=3, cutoff=0.3)
    return [examples[one] for one in near] or list(names[:3])


def _adapter_layers(model: nn.Module) -> list[Any]:
    from peft.tuners.tuners_utils import BaseTunerLayer

    return [module for module in model.modules() if isinstance(module, BaseTunerLayer)]


@contextmanager
def _switched_off(layers: Sequence[Any]) -> Iterator[None]:
    """As peft's own `disable_adapter`, which looks through the whole model at every call."""
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)
