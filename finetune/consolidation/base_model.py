"""The model that a run begins from: which one exactly, its tokenizer, a sketch without weights, and itself.

A folder is known by the SHA-256 of its files; where its weights are large, they count by name and size. A model of a hub
is known by its commit there. Of an assistant the base is the first layers of the served model, whose adapter is merged
before. It does not know data or methods. Sizes in bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from finetune.data.loaded_weights import UNREADABLE
from finetune.data.whole_files import file_sha256
from finetune.errors import ModelUnsuitable
from finetune.settings import LoraAdapter, TrainingPlan
from finetune.training.adapter import make_trainable
from finetune.training.first_layers import FirstLayers, load_first_layers, load_whole, shortened
from finetune.training.model_files import Dtype, load_model, load_tokenizer

HASHED_BYTES = 4 * 1024**3
"""Weights that are larger together are not read for the fingerprint."""

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
_BESIDE = (".json", ".jinja", ".txt", ".model")
_ADAPTER_CONFIG = "adapter_config.json"


class BaseRecord(BaseModel):
    """Which model it was. `known_by` says what the fingerprint is made of. `layers`: so many of its first ones alone, after
    `adapter` was merged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    fingerprint: str
    known_by: Literal["content", "names and sizes", "hub commit"]
    layers: int | None = None
    adapter: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """A model that is not loaded yet; with `first_layers` only those, and `config` is that of the shorter model."""

    record: BaseRecord
    tokenizer: Any
    config: Any
    first_layers: FirstLayers | None = None

    def sketch(self, plan: TrainingPlan) -> nn.Module:
        """The model with the plan's weights trainable, but without any memory for them.

        Raises `ModelUnsuitable` for what is no causal model, and for a plan whose patterns match nothing.
        """
        from transformers import AutoModelForCausalLM

        make: Any = AutoModelForCausalLM
        try:
            with torch.device("meta"):
                model: nn.Module = make.from_config(self.config)
        except ValueError as error:
            raise ModelUnsuitable(
                f"'{self.record.name}' is no causal language model ({type(self.config).__name__}); give one that is."
            ) from error
        return make_trainable(model, plan)

    def load(self, plan: TrainingPlan, device: torch.device) -> nn.Module:
        """The model. Only a frozen one is loaded in bfloat16: what is trained begins from all its digits.

        Raises `ModelUnsuitable` for weights that cannot be read.
        """
        if self.first_layers is None:
            return load_model(self.record.name, dtype=_loaded_in(plan), device=str(device))
        return load_first_layers(self.record.name, self.first_layers, dtype=_loaded_in(plan), device=str(device))

    def load_whole(self, plan: TrainingPlan, device: torch.device) -> nn.Module:
        """The model that can answer: the one that the layers are taken from. Raises as `load`."""
        if self.first_layers is None:
            return self.load(plan, device)
        return load_whole(self.record.name, self.first_layers, dtype=_loaded_in(plan), device=str(device))


def base_of(source: str | Path, *, first_layers: FirstLayers | None = None, hashed_bytes: int = HASHED_BYTES) -> Base:
    """The model of a folder or hub id. Raises `ModelUnsuitable` where there is none, or an adapter in its place, and
    `InvalidPlan` where it has not so many layers."""
    from transformers import AutoConfig

    folder = Path(source).expanduser()
    is_folder = folder.is_dir()
    if not is_folder and (isinstance(source, Path) or source.startswith(("/", ".", "~"))):
        raise ModelUnsuitable(f"{source} is no folder; give the folder of a model, or its id on a hub.")
    if is_folder and (folder / _ADAPTER_CONFIG).exists():
        raise ModelUnsuitable(
            f"{folder} holds an adapter; merge it into its base model first (`model_files.merged`), and give the result."
        )
    name = str(folder if is_folder else source)
    try:
        config: Any = AutoConfig.from_pretrained(name, local_files_only=is_folder)
    except UNREADABLE as error:
        raise ModelUnsuitable(
            f"'{source}' is no model that can be read ({type(error).__name__}). Give the folder or hub id of a causal "
            "language model of transformers."
        ) from error
    record = _of_folder(folder, hashed_bytes) if is_folder else _of_hub(name)
    if first_layers is not None:
        config, record = shortened(config, first_layers.count), _of_first_layers(record, first_layers)
    return Base(record=record, tokenizer=load_tokenizer(name), config=config, first_layers=first_layers)


def _loaded_in(plan: TrainingPlan) -> Dtype:
    return "bfloat16" if plan.dtype == "bfloat16" and isinstance(plan.where, LoraAdapter) else "float32"


def _of_first_layers(whole: BaseRecord, first: FirstLayers) -> BaseRecord:
    """The record of the whole model, and of what is taken from it."""
    parts = [whole.fingerprint, f"{first.count} layers"]
    if first.adapter is not None:
        if not (first.adapter / _ADAPTER_CONFIG).is_file():
            raise ModelUnsuitable(f"{first.adapter} holds no {_ADAPTER_CONFIG}; give the folder of an adapter.")
        files = sorted(one for one in first.adapter.iterdir() if one.name == _ADAPTER_CONFIG or one.suffix in _WEIGHTS)
        parts += [f"{one.name} {file_sha256(one)}" for one in files]
    return whole.model_copy(
        update={
            "fingerprint": hashlib.sha256("\n".join(parts).encode()).hexdigest(),
            "layers": first.count,
            "adapter": str(first.adapter) if first.adapter is not None else None,
        }
    )


def _of_folder(folder: Path, hashed_bytes: int) -> BaseRecord:
    files = sorted(one for one in folder.iterdir() if one.is_file())
    weights = [one for one in files if one.suffix in _WEIGHTS]
    if not weights:
        raise ModelUnsuitable(f"{folder} holds no weights (files with {', '.join(_WEIGHTS)}); fetch the whole model.")
    reads_all = sum(one.stat().st_size for one in weights) <= hashed_bytes
    digest = hashlib.sha256()
    for one in files:
        if one.suffix in _BESIDE or (one.suffix in _WEIGHTS and reads_all):
            digest.update(f"{one.name} {file_sha256(one)}\n".encode())
        elif one.suffix in _WEIGHTS:
            digest.update(f"{one.name} {one.stat().st_size} bytes\n".encode())
    known_by: Literal["content", "names and sizes"] = "content" if reads_all else "names and sizes"
    return BaseRecord(name=str(folder), fingerprint=digest.hexdigest(), known_by=known_by)


def _of_hub(name: str) -> BaseRecord:
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(name, "config.json")  # lies in a folder named after the commit
    if not isinstance(config, str):
        raise ModelUnsuitable(
            f"Which version of '{name}' the hub gave cannot be told; download it to a folder, and give the folder."
        )
    digest = hashlib.sha256(f"{name}@{Path(config).parent.name}".encode())
    return BaseRecord(name=name, fingerprint=digest.hexdigest(), known_by="hub commit")
