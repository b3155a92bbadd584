"""Put a LoRA adapter on a language model and make it part of the weights.

Merged in memory it costs nothing while answers are generated, and the files stay as they are. It is merged in the type
that the model is loaded in: bfloat16 and float16 round small changes away, and rounding may bring back what a method
took out (Zhang et al. 2024, arXiv:2410.16454), so judge weights in the type they are served in. It knows peft's files, not
how an adapter came about; nothing is fetched. peft is imported when an adapter is put on.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guardrail.errors import ConfigError

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"

_log = logging.getLogger("expunge")


@dataclass(frozen=True, kw_only=True, slots=True)
class Adapter:
    """A folder with a LoRA adapter. `base` is the model that it says it was trained on, if it says so."""

    folder: Path
    base: str | None


def find_adapter(source: str) -> Adapter:
    """The adapter of a folder, looked at but not loaded. Raises `ConfigError` for what is none, or without peft."""
    folder = Path(source).expanduser()
    described = _described(source, folder)
    if described.get("peft_type") != "LORA":
        raise ConfigError(
            f"adapter: '{source}' is of the kind {described.get('peft_type')}; only LoRA can be merged. Merge it elsewhere "
            "and give the merged model's folder as `model`."
        )
    if not (folder / WEIGHTS_FILE).is_file():
        raise ConfigError(f"adapter: '{source}' holds no {WEIGHTS_FILE}; give the whole folder that peft wrote.")
    if importlib.util.find_spec("peft") is None:
        raise ConfigError("adapter: needs peft; install it with: pip install 'expunge[finetune]'")
    base = described.get("base_model_name_or_path")
    return Adapter(folder=folder, base=base if isinstance(base, str) and base else None)


def refuse_adapter(source: str, folder: Path) -> None:
    """Raises `ConfigError` if the folder given as a model holds an adapter."""
    if (folder / CONFIG_FILE).exists():
        raise ConfigError(
            f"model: '{source}' holds an adapter, which is no model; give its base model as `model` and this folder as "
            "`adapter`."
        )


def merged(model: Any, adapter: Adapter, *, source: str, place: str) -> Any:
    """The model with the adapter in its weights; the model given is changed. Blocking.

    `source` is the model's name in the settings, `place` its folder or hub id. Raises `ConfigError` if a weight of the
    adapter has no place in the model, or the other way round, or is broken.
    """
    from peft import LoraConfig, PeftModel
    from safetensors import SafetensorError

    folder = str(adapter.folder)
    try:
        with _without_peft_warnings():
            wrapped: Any = PeftModel(model, LoraConfig.from_pretrained(folder))
            loaded = wrapped.load_adapter(folder, "default", torch_device=str(model.device))
        _check_all_placed(loaded.missing_keys, loaded.unexpected_keys)
        plain = wrapped.merge_and_unload(safe_merge=True)
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        was = f" It was trained on '{adapter.base}'." if adapter.base else ""
        raise ConfigError(
            f"adapter: '{folder}' cannot be put on the model '{source}': {_first_lines(error)}.{was} Give the model that "
            "it was trained on as `model`, or another folder."
        ) from error
    if adapter.base and Path(adapter.base).name != Path(place).name:
        _log.warning(
            "adapter: '%s' was trained on '%s' and is put on '%s'; if these are not the same weights, it does not do what "
            "it was trained for",
            folder,
            adapter.base,
            source,
        )
    _log.info("adapter: '%s' is merged into '%s'", folder, source)
    return plain


def _described(source: str, folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise ConfigError(f"adapter: '{source}' is no folder; give the folder that peft wrote the adapter to.")
    file = folder / CONFIG_FILE
    if not file.is_file():
        is_model = (folder / "config.json").is_file()
        mend = "It holds a whole model: give it as `model`" if is_model else "Give the folder that peft wrote"
        raise ConfigError(f"adapter: '{source}' holds no {CONFIG_FILE}. {mend}, or leave `adapter` out.")
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"adapter: '{file}' cannot be read ({type(error).__name__}); save the adapter anew."
        ) from error
    return read if isinstance(read, dict) else {}


def _check_all_placed(missing: list[str], unexpected: list[str]) -> None:
    """peft would go on, and the model would be edited in part."""
    if missing or unexpected:
        raise ValueError(
            f"{len(unexpected)} of its weights have no place in the model, and {len(missing)} of the model's layers that "
            "it names have no weights in it"
        )


def _first_lines(error: Exception) -> str:
    """What is wrong stands in the first line, or in the second where torch begins with a heading."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]).rstrip(".") or type(error).__name__


@contextmanager
def _without_peft_warnings() -> Iterator[None]:
    """peft asks transformers 5 by a name of transformers 4, which the operator can do nothing about."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        yield
