"""What a picture evaluation's figures depend on besides its input: program, libraries, models, machine.

Digests are of contents; a folder is read once in a process.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any, Final

import guardrail
import retrieval
from guardrail.backends.diffusers_loading import PACKAGED, PACKAGED_FOLDER
from guardrail.settings import Settings

_LIBRARIES: Final = ("expunge", "torch", "diffusers", "transformers", "numpy", "pillow", "faiss-cpu")
_DECIDING_FILES: Final = (".py", ".onnx", ".npz", ".npy", ".json", ".txt", ".safetensors")


def program_digest() -> str:
    """Of the packages that draw and detect."""
    return "".join(_folder_digest(Path(package.__path__[0])) for package in (guardrail, retrieval))


def models_digest(settings: Settings) -> str:
    """Of the folders that the proxy draws and looks with; a hub's models are told apart by their names alone."""
    named = [one.model or "" for one in settings.backends] + [settings.retrieval.picture_embedder_model]
    folders = [PACKAGED_FOLDER if name == PACKAGED else Path(name).expanduser() for name in named]
    digests = [_folder_digest(folder) for folder in folders if folder.parts and folder.is_dir()]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


@functools.cache
def _folder_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in _DECIDING_FILES and path.is_file():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """The machine that judged, which also drew unless the proxy runs elsewhere."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load_1min_after": round(os.getloadavg()[0], 2),
    }


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
