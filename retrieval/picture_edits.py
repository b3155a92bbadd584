"""An edit of a diffusion pipeline's weights as files, and its way into a pipeline in memory and out again.

A folder holds one of
    differences.safetensors               what is added to weights of the denoiser, by name
    pytorch_lora_weights.safetensors      a low-rank addition as diffusers writes it (alpha = rank)

and `finetune` puts a manifest beside it. Several edits add up; taken out, weights are the very tensors that they were
before. It knows no entries and no methods. torch is used, never imported at the top.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval.concept_states.readers import denoiser_of, find_denoiser
from retrieval.errors import InvalidEdit, UnfitPipeline

if TYPE_CHECKING:
    import torch

DIFFERENCES = "differences.safetensors"
ADDITION = "pytorch_lora_weights.safetensors"
_A, _B = ".lora_A.weight", ".lora_B.weight"


@dataclass(frozen=True, kw_only=True, slots=True)
class EditFiles:
    """An edit in a folder, and the SHA-256 of its file as it was looked at."""

    folder: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class PictureEdit:
    """Differences by name of the weight in the denoiser."""

    differences: Mapping[str, torch.Tensor]

    @property
    def size_bytes(self) -> int:
        """What its tensors hold."""
        return sum(one.nbytes for one in self.differences.values())


def write_differences(folder: Path, differences: Mapping[str, torch.Tensor]) -> None:
    """Those that are not 0 throughout. Raises `OSError`."""
    from safetensors.torch import save_file

    kept = {name: one.contiguous() for name, one in differences.items() if bool(one.any())}
    save_file(kept, folder / DIFFERENCES)


def edit_files(folder: Path) -> EditFiles:
    """What lies in a folder. Raises `InvalidEdit` where there is no edit, or where it cannot be read."""
    path = _path(folder)
    try:
        with path.open("rb") as file:
            return EditFiles(folder=str(folder), sha256=hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise InvalidEdit(f"{path} cannot be read ({type(error).__name__})") from None


def read_edit(folder: Path, *, sha256: str | None = None) -> PictureEdit:
    """The edit in a folder. Raises `InvalidEdit` where there is none, where it cannot be read, or is not the one that
    `sha256` names."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = _path(folder)
    if sha256 is not None and edit_files(folder).sha256 != sha256:
        raise InvalidEdit(f"{path} was changed since it was looked at; name it again")
    try:
        found = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InvalidEdit(f"{path} cannot be read ({type(error).__name__}); copy it anew.") from None
    return PictureEdit(differences=found if path.name == DIFFERENCES else _products(found, path))


def _path(folder: Path) -> Path:
    path = next((folder / name for name in (DIFFERENCES, ADDITION) if (folder / name).is_file()), None)
    if path is None:
        raise InvalidEdit(f"{folder} holds neither {DIFFERENCES} nor {ADDITION}; name the folder `edit` of a run")
    return path


Shapes = Mapping[str, tuple[int, ...]]


def weight_shapes(pipeline: Any) -> Shapes:
    """Of the denoiser's weights, by name; none where a pipeline has no denoiser."""
    denoiser = find_denoiser(pipeline)
    return {name: tuple(one.shape) for name, one in denoiser.named_parameters()} if denoiser is not None else {}


def check_shapes(edit: PictureEdit, weights: Shapes) -> None:
    """Raises `UnfitPipeline` for an edit of another model than that with these weights."""
    for name, one in edit.differences.items():
        if name not in weights:
            raise UnfitPipeline(f"the edit changes '{name}', which this model does not have; it is another model's")
        if weights[name] != tuple(one.shape):
            shapes = f"{tuple(one.shape)} for {weights[name]}"
            raise UnfitPipeline(f"the edit of '{name}' has another shape ({shapes}); it is another model's")


class EditedPipeline:
    """A pipeline in memory with some edits in it. Nobody may draw while they change."""

    def __init__(self, pipeline: Any) -> None:
        self._denoiser = denoiser_of(pipeline)
        self._before: dict[str, torch.Tensor] = {}

    def put(self, edits: Sequence[PictureEdit]) -> None:
        """These edits and no others. Raises `UnfitPipeline`, with the weights as they were, for those of another model."""
        weights = dict(self._denoiser.named_parameters())
        shapes = {name: tuple(one.shape) for name, one in weights.items()}
        for edit in edits:
            check_shapes(edit, shapes)
            narrow = [name for name in edit.differences if weights[name].dtype.itemsize < 2]
            if narrow:
                raise UnfitPipeline(f"'{narrow[0]}' is quantised in this model; serve it in 16 or 32 bits to edit it")
        wanted = {name for edit in edits for name in edit.differences}
        before = {name: self._before.get(name, weights[name].data) for name in {*self._before, *wanted}}
        for name, first in before.items():
            changed = first
            for edit in edits:
                if name in edit.differences:
                    changed = changed + edit.differences[name].to(device=first.device, dtype=first.dtype)
            weights[name].data = changed
        self._before = {name: before[name] for name in wanted}


def _products(found: Mapping[str, torch.Tensor], path: Path) -> dict[str, torch.Tensor]:
    products = {}
    for name, a in found.items():
        if not name.endswith(_A) or name.replace(_A, _B) not in found:
            if not name.endswith(_B):
                raise InvalidEdit(f"{path} holds '{name}', which is no part of a plain low-rank addition")
            continue
        layer = name.removesuffix(_A).partition(".")[2]  # without "unet." or "transformer."
        b = found[name.replace(_A, _B)]
        if a.ndim != 2 or b.ndim != 2:
            raise InvalidEdit(f"{path} adds to '{layer}', which is no linear layer; write differences instead")
        products[f"{layer}.weight"] = b.float() @ a.float()
    return products
