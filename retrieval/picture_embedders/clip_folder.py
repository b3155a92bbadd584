"""Any model of the CLIP or SigLIP family, by folder or hub id: pictures and texts in one space, on CPU or GPU.

Pictures are prepared with Pillow and NumPy, so torchvision is not needed. It does not know entries. Sources: Radford et al.
2021, arXiv:2103.00020 (CLIP); Zhai et al. 2023, arXiv:2303.15343 (SigLIP). Shapes: N pictures or texts, D dimensions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from retrieval.errors import EmbedderUnavailable

if TYPE_CHECKING:
    from PIL.Image import Image

    from retrieval.picture_embedders.protocol import Vectors

_RECIPE: Final = "clip 1"
_BATCH: Final = 16
_THRESHOLD: Final = 0.82
_HASHED: Final = ("config.json", "preprocessor_config.json", "tokenizer.json")


class ClipFolder:
    """See the module."""

    name = "clip"
    threshold = _THRESHOLD

    def __init__(self, model: Any, prepare: Any, tokenizer: Any, *, fingerprint: str) -> None:
        self._model, self._prepare, self._tokenizer = model, prepare, tokenizer
        self._pads_fully = str(model.config.model_type).startswith("siglip")  # as it was trained
        self.fingerprint = fingerprint
        self.dim = int(self._texts(["x"]).shape[1])

    @classmethod
    def load(cls, model: str, *, device: str = "auto") -> Self:
        """Find and load the model; raises `EmbedderUnavailable`, or `ImportError` where a library is missing."""
        import torch
        from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

        folder = Path(model).expanduser()
        source = str(folder) if folder.is_dir() else model
        chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        try:
            loaded: Any = AutoModel.from_pretrained(source, use_safetensors=True, dtype=torch.float32)
            load_prepare: Any = AutoImageProcessor.from_pretrained
            prepare = load_prepare(source, backend="pil")
            tokenizer = AutoTokenizer.from_pretrained(source)
        except (OSError, ValueError, KeyError) as error:
            raise _unusable(model, type(error).__name__) from error
        if not hasattr(loaded, "get_image_features") or not hasattr(loaded, "get_text_features"):
            raise _unusable(model, f"a {loaded.config.model_type} has no pictures and texts in one space")
        weights = _fingerprint(folder) if folder.is_dir() else f"{model} {getattr(loaded.config, '_commit_hash', '')}"
        fingerprint = hashlib.sha256(f"{_RECIPE} {weights}".encode()).hexdigest()[:24]
        return cls(loaded.eval().to(chosen), prepare, tokenizer, fingerprint=fingerprint)

    def embed(self, pictures: Sequence[Image]) -> Vectors:
        """See the protocol."""
        return self._batched(pictures, self._pictures)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """See the protocol."""
        return self._batched(texts, self._texts)

    def _batched(self, items: Sequence[Any], embed: Callable[[Sequence[Any]], Vectors]) -> Vectors:
        rows = [np.empty((0, self.dim), dtype=np.float32)]
        rows += [embed(items[first : first + _BATCH]) for first in range(0, len(items), _BATCH)]
        return np.concatenate(rows)

    def _pictures(self, pictures: Sequence[Image]) -> Vectors:
        inputs = self._prepare(images=[picture.convert("RGB") for picture in pictures], return_tensors="pt")
        return self._rows("get_image_features", {"pixel_values": inputs["pixel_values"]})

    def _texts(self, texts: Sequence[str]) -> Vectors:
        padding = "max_length" if self._pads_fully else True
        inputs = self._tokenizer(list(texts), padding=padding, truncation=True, return_tensors="pt")
        wanted = ("input_ids",) if self._pads_fully else ("input_ids", "attention_mask")
        return self._rows("get_text_features", {name: inputs[name] for name in wanted})

    def _rows(self, method: str, inputs: dict[str, Any]) -> Vectors:
        import torch

        with torch.inference_mode():
            features = getattr(self._model, method)(**{n: value.to(self._model.device) for n, value in inputs.items()})
            # transformers 5 gives an output object, transformers 4 the tensor itself.
            tensor = features if isinstance(features, torch.Tensor) else features.pooler_output
            rows: Vectors = torch.nn.functional.normalize(tensor.float(), dim=-1).cpu().numpy()
        return rows


def _fingerprint(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted([*folder.glob("*.safetensors"), *(folder / name for name in _HASHED)]):
        if path.is_file():
            with path.open("rb") as file:
                total.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def _unusable(model: str, why: str) -> EmbedderUnavailable:
    return EmbedderUnavailable(
        f"The picture embedder '{model}' cannot be loaded ({why}). picture_embedder_model must name the folder or hub id "
        "of a model of the CLIP or SigLIP family, with safetensors weights, tokenizer and preprocessor_config.json."
    )
