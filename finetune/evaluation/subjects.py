"""Models under judgement by where they lie: whole models, adapters on a base, endpoints.

A subject says at once what it is (kind, name, hash of its files) and is brought into memory only when it is asked. It
does not know suites or metrics.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from finetune.data.loading import DTYPES, without_bars_of_transformers
from finetune.data.whole_files import file_sha256
from finetune.errors import InvalidPlan
from finetune.evaluation.endpoint_model import EndpointModel, without_password
from finetune.evaluation.judged_model import JudgedModel
from finetune.evaluation.local_model import LocalModel
from finetune.evaluation.prompting import PlainFormat


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Subject:
    """`identity` tells it from others in a report, without folders of this machine; `load` brings it into memory."""

    identity: Mapping[str, str]
    load: Callable[[], JudgedModel]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LocalSubjects:
    """Makes subjects of local models. `device` and `dtype` may be "auto". Every folder is hashed once. Raises
    `InvalidPlan` for a device or dtype that there is not."""

    device: str = "auto"
    dtype: str = "auto"
    plain: PlainFormat | None = None
    _hashes: dict[Path, str] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        import torch

        has_cuda = torch.cuda.is_available()
        device = self.device if self.device != "auto" else "cuda" if has_cuda else "cpu"
        if device.partition(":")[0] not in ("cpu", "cuda") or (device != "cpu" and not has_cuda):
            raise InvalidPlan(f"The device '{self.device}' is not there; take auto or cpu.")
        dtype = self.dtype if self.dtype != "auto" else "float32" if device == "cpu" else "bfloat16"
        if dtype not in DTYPES:
            raise InvalidPlan(f"The dtype '{self.dtype}' is not known. Known: auto, {', '.join(DTYPES)}.")
        object.__setattr__(self, "device", device)
        object.__setattr__(self, "dtype", dtype)

    def whole(
        self, label: str, place: str, *, kind: Literal["untouched", "merged"] = "merged", name: str | None = None
    ) -> Subject:
        """A model by folder or hub id; `name` is what the report calls it. Raises `InvalidPlan` for what is no model."""
        _refuse_no_model(place)
        identity = {"kind": kind, **self._facts(place, name), "dtype": self.dtype}
        return Subject(identity=identity, load=lambda: self._load(label, place))

    def adapter(self, label: str, folder: Path, *, base: str, base_name: str | None = None) -> Subject:
        """An adapter that peft saved, on its base model. Raises `InvalidPlan` for a folder without one."""
        if not is_adapter(folder):
            raise InvalidPlan(f"{folder} holds no adapter (no adapter_config.json); name an adapter's folder.")
        of_base = {f"base_{key}": value for key, value in self._facts(base, base_name).items()}
        identity = {"kind": "adapter", **self._facts(str(folder), None), **of_base, "dtype": self.dtype}
        return Subject(identity=identity, load=lambda: self._load(label, base, folder))

    def _facts(self, place: str, name: str | None) -> dict[str, str]:
        folder = Path(place)
        if not folder.is_dir():
            return {"source": name or place}
        if folder not in self._hashes:
            self._hashes[folder] = folder_sha256(folder)
        return {"source": name or folder.resolve().name, "sha256": self._hashes[folder]}

    def _load(self, label: str, place: str, adapter: Path | None = None) -> JudgedModel:
        with without_bars_of_transformers():
            model = LocalModel.load(place, adapter=adapter, device=self.device, dtype=self.dtype, plain=self.plain)
        return replace(model, name=label)


def endpoint(url: str, *, model: str, api_key: str | None = None) -> Subject:
    """A model behind an OpenAI-compatible endpoint. Raises `InvalidPlan` for what is no address."""
    judged = EndpointModel(name=model, base_url=url, api_key=api_key)
    shown = without_password(url)
    return Subject(identity={"kind": "endpoint", "source": shown, "model": model}, load=lambda: judged)


def _refuse_no_model(place: str) -> None:
    """Before any model is asked, since the answers kept so far are of another job once the place is mended."""
    folder = Path(place)
    if not folder.is_dir() and (folder.is_file() or place.startswith(("/", ".", "~"))):
        raise InvalidPlan(
            f"'{place}' cannot be loaded: it is no folder. Name the folder of a model, or its id on a hub."
        )
    if folder.is_dir() and not (folder / "config.json").is_file():
        mend = "It holds an adapter; name it as one (--adapter), on its base model." if is_adapter(folder) else ""
        raise InvalidPlan(
            f"'{place}' cannot be loaded: it holds no config.json. {mend or 'Name the folder of a model.'}"
        )


def is_adapter(folder: Path) -> bool:
    """Whether peft saved an adapter there."""
    return (folder / "adapter_config.json").is_file()


def folder_sha256(folder: Path) -> str:
    """Of the names and contents of a folder's files, not of those in folders below. Raises `InvalidPlan`."""
    digest = hashlib.sha256()
    try:
        for path in sorted(one for one in folder.iterdir() if one.is_file()):
            digest.update(f"{path.name}\0{file_sha256(path)}\n".encode())
    except OSError as error:
        raise InvalidPlan(f"{folder} cannot be read: {error.strerror}. Name a folder that holds a model.") from None
    return digest.hexdigest()
