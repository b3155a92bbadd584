"""Settings of `finetune`: how a run of training goes. Read once at the top, passed down.

The defaults suit a small model on two CPU cores as well as one GPU: LoRA, float32, short sequences in small batches.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from finetune.errors import InvalidPlan


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"'{pattern}' is no regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, Field(min_length=1), AfterValidator(_compiles)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FullWeights(_Settings):
    """Every weight is trained."""

    kind: Literal["full"] = "full"
    """All weights of the model."""


class ChosenModules(_Settings):
    """The weights of chosen modules are trained, the rest is frozen."""

    kind: Literal["modules"] = "modules"
    """Modules by name."""

    patterns: tuple[Pattern, ...] = Field(min_length=1)
    """Regular expressions that match a module's whole name, say `.*\\.layers\\.[5-7]\\.mlp\\.down_proj`; all weights within
    a matched module are trained. Weights that are tied are one: `lm_head` may be the embeddings too."""


class LoraAdapter(_Settings):
    """A low-rank addition to linear layers is trained, the model itself is frozen (Hu et al. 2021, arXiv 2106.09685)."""

    kind: Literal["lora"] = "lora"
    """A LoRA adapter, by peft."""

    rank: int = Field(default=16, ge=1)
    """Rank of the addition."""

    alpha: int = Field(default=32, ge=1)
    """The addition is scaled by alpha / rank."""

    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of the addition's inputs that is dropped. Above 0 the reference still sees the model without any dropout."""

    targets: tuple[Pattern, ...] = ()
    """Regular expressions that match a linear layer's whole name; none: all linear layers but the output head."""


_Plan = TypeVar("_Plan", bound="_Settings")

Where = Annotated[FullWeights | ChosenModules | LoraAdapter, Field(discriminator="kind")]


class TrainingPlan(_Settings):
    """How a model is trained, whatever the method."""

    where: Where = LoraAdapter()
    """Which weights are trained: `full`, `modules` or `lora`, with what each needs."""

    learning_rate: float = Field(default=1e-4, gt=0.0)
    """Greatest learning rate. Some 1e-4 for LoRA, 1e-5 for full weights."""

    epochs: int = Field(default=5, ge=1)
    """Passes over the forget part, if `max_steps` does not end them earlier."""

    max_steps: int | None = Field(default=None, ge=1)
    """Most steps of the optimiser; the schedule ends with them."""

    batch_size: int = Field(default=4, ge=1)
    """Sequences of the forget part in one forward pass."""

    retain_per_forget: int = Field(default=1, ge=1)
    """Sequences of the retain part that come with each of the forget part, if the method keeps any. More keep better what
    is near, and take longer."""

    accumulation: int = Field(default=1, ge=1)
    """Forward passes that make one step. How sequences are split between this and `batch_size` does not change the step."""

    warmup_share: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Share of the steps in which the learning rate rises to its greatest."""

    schedule: Literal["linear", "constant"] = "linear"
    """After the warm-up: down to nothing in a line (`linear`), or as it is (`constant`)."""

    weight_decay: float = Field(default=0.0, ge=0.0)
    """AdamW's decay, for matrices only; a step that learns nothing decays nothing."""

    max_grad_norm: float | None = Field(default=1.0, gt=0.0)
    """Norm to which a longer gradient is cut; none: gradients are left as they are."""

    embeddings_radius: float | None = Field(default=None, gt=0.0, le=1.0)
    """Texts to forget are read from the worst place nearby, so far as a share of each embedding's length (latent
    adversarial training; .05 is a beginning). One pass more over them."""

    weights_radius: float | None = Field(default=None, gt=0.0)
    """The gradient is taken at the worst weights so near (sharpness-aware minimisation, against relearning; .01 to .05).
    Every pass is made twice."""

    rounded_bits: Literal[8, 4] | None = None
    """Gradients are taken at the weights as a server with so many bits would hold them (quantisation-aware training)."""

    dtype: Literal["float32", "bfloat16", "float64"] = "float32"
    """What is computed in. `bfloat16` keeps frozen weights in it too, but trained weights and their optimiser in float32,
    where small updates are not lost; slow on most CPUs. `float64` is for checks of exactness."""

    gradient_checkpointing: bool = False
    """Compute activations anew instead of keeping them: about a third slower, far less memory."""

    seed: int = Field(default=0, ge=0)
    """Decides the order of sequences, dropout and an adapter's first weights."""

    deterministic: bool = True
    """On a GPU, only algorithms that give the same numbers every time; an operation that has none is an error. Off, runs
    with the same seed may differ a little. A CPU gives the same numbers anyway, with the same number of threads."""

    save_every_steps: int = Field(default=0, ge=0)
    """Steps between two checkpoints; 0 writes none."""


class DenoisingPlan(_Settings):
    """How a diffusion model is trained, whatever the method. The defaults suit a small model on one CPU core; for Stable
    Diffusion some 500 steps at 1e-5 (weights) or 1e-4 (a low-rank addition) are usual."""

    where: Literal["text", "rest", "all"] | None = None
    """Which weights: those of layers that read text, all others, or all; none: as the method's paper."""

    rank: int | None = Field(default=None, ge=1)
    """Rank of a low-rank addition that is trained in their place; none: as the method's paper, which is mostly none."""

    steps: int = Field(default=120, ge=1)
    """Steps of the optimiser."""

    batch_size: int = Field(default=16, ge=1)
    """Noisy pictures of each part in one step."""

    learning_rate: float = Field(default=3e-4, gt=0.0)
    """After the warm-up."""

    warmup_steps: int = Field(default=10, ge=0)
    """Steps in which the learning rate rises."""

    max_grad_norm: float = Field(default=1.0, gt=0.0)
    """Norm to which a longer gradient is cut."""

    pictures: int = Field(default=64, ge=1)
    """Drawings that are begun for each part."""

    moments: int = Field(default=4, ge=1)
    """Steps of each drawing that are kept to train on."""

    inference_steps: int = Field(default=15, ge=2)
    """Steps of a drawing."""

    guidance_scale: float | None = Field(default=None, ge=0.0)
    """Of the drawings; none: the pipeline's own."""

    seed: int = Field(default=0, ge=0)
    """Decides drawings, their order and an addition's first weights."""

    deterministic: bool = True
    """On a GPU, only algorithms that give the same numbers every time."""

    save_every_steps: int = Field(default=50, ge=0)
    """Steps between two checkpoints; 0 writes none."""


def plan_from(values: Mapping[str, Any]) -> TrainingPlan:
    """A plan from plain values. Raises `InvalidPlan` that names each field that is unknown or out of range."""
    return _validated(TrainingPlan, values)


def denoising_plan_from(values: Mapping[str, Any]) -> DenoisingPlan:
    """As `plan_from`, for diffusion models."""
    return _validated(DenoisingPlan, values)


def _validated(kind: type[_Plan], values: Mapping[str, Any]) -> _Plan:
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        faults = "; ".join(_fault(one, kind) for one in error.errors(include_url=False))
        raise InvalidPlan(f"The training plan cannot be used: {faults}.") from None


def _fault(fault: Mapping[str, Any], kind: type[BaseModel]) -> str:
    place = tuple(str(part) for part in fault["loc"])
    name = ".".join(place)
    if fault["type"] == "extra_forbidden":
        model = kind
        if place[0] == "where" and len(place) > 1:
            models: tuple[type[BaseModel], ...] = (FullWeights, ChosenModules, LoraAdapter)
            model = next(one for one in models if one.model_fields["kind"].default == place[1])
        near = get_close_matches(place[-1], model.model_fields, n=1)
        hint = f", did you mean '{near[0]}'?" if near else ""
        return f"{name} is unknown{hint} (known: {', '.join(sorted(model.model_fields))})"
    return f"{name}: {fault['msg']} (it is {fault['input']!r})"
