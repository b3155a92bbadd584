"""The first layers of a model as a model of its own: embeddings, K layers, the last norm, the head.

It is an ordinary causal model of transformers with a smaller `num_hidden_layers`, so that only K layers are run, and any
reader of such folders loads it. It does not know what it is trained for. While it is made, the whole model lies in the
host's memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from torch import nn

from finetune.errors import InvalidPlan, ModelUnsuitable
from finetune.training.model_files import Dtype, load_model, merged, with_adapter

_LAYERS: Final = "num_hidden_layers"


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstLayers:
    """How many layers are kept, and the LoRA adapter, if any, that belongs to the model and is merged into it before."""

    count: int
    adapter: Path | None = None


def shortened(config: Any, count: int) -> Any:
    """The configuration of the first `count` layers; what it lists layer by layer is cut with them.

    Raises `InvalidPlan` where there are not so many and at least one more, `ModelUnsuitable` where layers are not counted.
    """
    text = config.get_text_config()
    layers = getattr(text, _LAYERS, None)
    if not isinstance(layers, int):
        raise ModelUnsuitable(
            f"The configuration ({type(config).__name__}) does not say how many layers the model has."
        )
    if not 1 <= count < layers:
        raise InvalidPlan(f"{count} layers were asked for, of a model of {layers}; give 1 to {layers - 1}.")
    own = _cut(text.to_dict(), text.attribute_map.get(_LAYERS, _LAYERS), layers, count)
    if text is config:
        return type(config).from_dict(own)
    values = config.to_dict()
    place = next((name for name in config.sub_configs if getattr(config, name, None) is text), None)
    if place is None:
        raise ModelUnsuitable(f"Where {type(config).__name__} keeps the configuration of its text model is not known.")
    return type(config).from_dict(values | {place: own})


def load_whole(source: str | Path, first: FirstLayers, *, dtype: Dtype, device: str) -> nn.Module:
    """The model that the layers are taken from. Raises `ModelUnsuitable`."""
    model = load_model(source, dtype=dtype, device=device)
    if first.adapter is not None:
        model = merged(with_adapter(model, first.adapter), in_place=True)
    return model.eval()


def load_first_layers(source: str | Path, first: FirstLayers, *, dtype: Dtype, device: str) -> nn.Module:
    """The shortened model with the weights of the whole one. Raises `ModelUnsuitable` or `InvalidPlan`."""
    from transformers import AutoModelForCausalLM

    whole: Any = load_whole(source, first, dtype=dtype, device="cpu")
    make: Any = AutoModelForCausalLM
    model: Any = make.from_config(shortened(whole.config, first.count), dtype=whole.dtype)
    weights = whole.state_dict()
    missing = sorted(name for name, one in model.state_dict().items() if _shape(weights.get(name)) != one.shape)
    if missing:
        raise ModelUnsuitable(
            f"The first {first.count} layers of '{source}' do not stand alone: {len(missing)} of their weights have no "
            f"like in the whole model ('{missing[0]}'). Take another number of layers."
        )
    model.load_state_dict({name: weights[name] for name in model.state_dict()})
    model.generation_config = whole.generation_config  # it knows what ends an answer
    shorter: nn.Module = model.to(device)
    return shorter.eval()


def _cut(values: Mapping[str, Any], name: str, layers: int, count: int) -> dict[str, Any]:
    """Lists that have an element a layer say so in their names, as `layer_types` does."""
    listed = {
        key: value[:count]
        for key, value in values.items()
        if isinstance(value, list | tuple) and len(value) == layers and ("layer" in key or "block" in key)
    }
    return {**values, **listed, name: count}


def _shape(tensor: Any) -> Any:
    return None if tensor is None else tensor.shape
