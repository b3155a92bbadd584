"""Models from a hub or a folder, and what training made of them as files that transformers, peft and vLLM load.

It does not know plans or data. An adapter is small and needs its base model; a merged model stands alone.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError
from torch import nn

from finetune.data.loaded_weights import UNREADABLE, refuse_incomplete, refuse_misfit
from finetune.data.loading import DTYPES, without_peft_warnings
from finetune.errors import InvalidPlan, ModelUnsuitable
from finetune.training.adapter import is_lora

Dtype = Literal["float32", "bfloat16", "float16"]


def load_model(source: str | Path, *, dtype: Dtype = "float32", device: str = "cpu") -> nn.Module:
    """A causal model of transformers by hub id or folder. Raises `ModelUnsuitable` where it is not, or not whole."""
    from transformers import AutoModelForCausalLM

    model: Any
    model, loading = _from_pretrained(AutoModelForCausalLM, source, dtype=DTYPES[dtype], output_loading_info=True)
    refuse_incomplete(source, loading)
    loaded: nn.Module = model.to(device)
    return loaded.eval()


def load_tokenizer(source: str | Path) -> Any:
    """The tokenizer beside a model. Raises `ModelUnsuitable` where there is none."""
    from transformers import AutoTokenizer

    return _from_pretrained(AutoTokenizer, source)


def vocabulary_of(model: nn.Module) -> int:
    """How many tokens the model knows. Raises `ModelUnsuitable` for what reads no tokens."""
    embeddings: Any = getattr(model, "get_input_embeddings", lambda: None)()
    if embeddings is None:
        raise ModelUnsuitable("The model has no input embeddings; give a causal model of transformers.")
    return int(embeddings.weight.shape[0])


def context_of(model: nn.Module) -> int | None:
    """How many tokens the model reads at most; None where its configuration does not say."""
    config: Any = getattr(model, "config", None)
    config = config.get_text_config() if hasattr(config, "get_text_config") else config
    context = getattr(config, "max_position_embeddings", None)
    return int(context) if context else None


def merged(model: nn.Module, *, in_place: bool = False) -> nn.Module:
    """A plain model: a LoRA adapter is added to the weights, anything else is as it is.

    The model given stays as it is unless `in_place`, which spares a copy.
    """
    if not is_lora(model):
        return model
    lora: Any = model if in_place else copy.deepcopy(model)
    plain: nn.Module = lora.merge_and_unload()
    return plain


def without_adapter(model: nn.Module) -> nn.Module:
    """The base model alone, in place."""
    if not is_lora(model):
        return model
    lora: Any = model
    plain: nn.Module = lora.unload()
    return plain


def with_adapter(model: nn.Module, folder: Path) -> nn.Module:
    """The model with a saved LoRA adapter, frozen. Raises `ModelUnsuitable` if the folder holds none for this model."""
    from peft import PeftModel

    try:
        with without_peft_warnings():
            wrapped: nn.Module = PeftModel.from_pretrained(model, str(folder), local_files_only=True)
    except UNREADABLE as error:
        raise ModelUnsuitable(
            f"The adapter in {folder} cannot be put on this model: {_first_line(error)} "
            "Give the folder of an adapter and the base model that it was trained on."
        ) from error
    refuse_misfit(wrapped, folder)
    return wrapped.eval()


def save_adapter(model: nn.Module, folder: Path, *, base: str | None = None, dtype: Dtype | None = None) -> None:
    """Write a LoRA adapter as peft does. `base` is the name under which its users find the base model.

    Raises `InvalidPlan` for a model that has no adapter.
    """
    if not is_lora(model):
        raise InvalidPlan("Only a model trained by LoRA has an adapter to save; save the merged model instead.")
    lora: Any = model
    weights = {
        name: weight.to(DTYPES[dtype]) if dtype and weight.is_floating_point() else weight
        for name, weight in lora.state_dict().items()
        if "lora_" in name
    }
    # Asking whether embeddings grew would go to the network for the base model's configuration.
    lora.save_pretrained(str(folder), state_dict=weights, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # an empty form
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)  # servers run as other users
    if base is not None:
        path = folder / "adapter_config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(config | {"base_model_name_or_path": base}, indent=2) + "\n", encoding="utf-8")


def save_merged(model: nn.Module, folder: Path, *, tokenizer: Any = None, dtype: Dtype | None = None) -> None:
    """Write a model that stands alone, in safetensors, with its tokenizer if one is given."""
    plain: Any = merged(model)
    if dtype is not None:
        plain = (copy.deepcopy(plain) if plain is model else plain).to(DTYPES[dtype])
    plain.save_pretrained(str(folder))
    if tokenizer is not None:
        tokenizer.save_pretrained(str(folder))


def _from_pretrained(loader: Any, source: str | Path, **options: Any) -> Any:
    place = Path(source).expanduser()
    try:
        return loader.from_pretrained(
            str(place) if place.is_dir() else str(source), local_files_only=place.is_dir(), **options
        )
    except SafetensorError as error:
        raise ModelUnsuitable(
            f"The weights of '{source}' are damaged or cut short ({error}); fetch the model anew."
        ) from error
    except UNREADABLE as error:
        raise ModelUnsuitable(
            f"'{source}' cannot be loaded: {_first_line(error)} Give the folder or hub id of a causal language model."
        ) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
