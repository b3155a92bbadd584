"""Refuses weights that were not read as they were written: transformers and peft go on with what is missing made up.

A layer that the files lack is filled with random numbers, an adapter of another model is put on in part, weights that are
no numbers answer nothing, which looks like forgetting. It does not know how models are loaded. Errors name weights.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from torch import nn

from finetune.errors import ModelUnsuitable

ADAPTER_WEIGHTS = "adapter_model.safetensors"

UNREADABLE = (
    OSError,
    ValueError,
    ImportError,
    RuntimeError,
    KeyError,
    TypeError,
    AttributeError,
    SafetensorError,
    StrictDataclassError,
)
"""What transformers, peft and tokenizers raise for files that are damaged or do not go together."""


def refuse_incomplete(source: object, loading: Mapping[str, Any]) -> None:
    """`loading` is what `from_pretrained` tells by `output_loading_info`. Raises `ModelUnsuitable` for weights that no file
    held, which are random now."""
    missing = sorted(map(str, loading["missing_keys"]))
    if missing:
        raise ModelUnsuitable(
            f"'{source}' cannot be loaded: {len(missing)} of the weights that its config.json describes are in none of its "
            f"files ({_some(missing)}). Fetch the whole model, with the configuration that belongs to it."
        )


def refuse_misfit(wrapped: nn.Module, folder: Path) -> None:
    """A model wrapped by peft with the adapter of a folder. Raises `ModelUnsuitable` where a weight of the adapter has no
    place in the model, or a layer that it names has no weights in it."""
    from peft import get_peft_model_state_dict

    if not (folder / ADAPTER_WEIGHTS).is_file():
        return
    with safe_open(folder / ADAPTER_WEIGHTS, framework="pt") as file:
        written = set(file.keys())
    of: Any = get_peft_model_state_dict  # embeddings are looked up over the network unless told not to
    placed = set(of(wrapped, save_embedding_layers=False))
    strange, bare = sorted(written - placed), sorted(placed - written)
    if strange or bare:
        raise ModelUnsuitable(
            f"The adapter in {folder} does not fit this model: {len(strange)} of its weights have no place there, and "
            f"{len(bare)} that it should have are not in it ({_some([*strange, *bare])}). Give the base model that it was "
            "trained on."
        )


def refuse_broken(name: str, model: nn.Module) -> None:
    """Raises `ModelUnsuitable` for weights that are no finite numbers."""
    broken = [key for key, weight in model.named_parameters() if not bool(torch.isfinite(weight).all())]
    if broken:
        raise ModelUnsuitable(
            f"'{name}' has {len(broken)} weights that are no finite numbers ({_some(broken)}): whatever it says tells "
            "nothing. Train it anew with a lower learning rate, or fetch it anew."
        )


def _some(names: Collection[str]) -> str:
    shown = ", ".join(list(names)[:2])
    return f"{shown}, ..." if len(names) > 2 else shown
