"""A small convolutional encoder from a folder: for pictures of a narrow world, where no CLIP is at hand.

The folder holds `config.json` ({"kind": "expunge-picture-encoder", "image_size": 32, "channels": [32, 64, 128], "dim": 64},
and `threshold` where the training found one) and `model.safetensors`. Whoever trains it imports `SmallEncoder` and
`pixels_of`, so that training and serving see the same pixels. It does not know entries. Shapes: N pictures, C channels,
S side in pixels, D dimensions; pixels are RGB in -1..1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import torch
from torch import Tensor, nn

from retrieval.errors import EmbedderUnavailable

if TYPE_CHECKING:
    from PIL.Image import Image

    from retrieval.picture_embedders.protocol import Vectors

KIND: Final = "expunge-picture-encoder"
CONFIG_FILE: Final = "config.json"
WEIGHTS_FILE: Final = "model.safetensors"
_RECIPE: Final = "small-encoder 1"
_GROUPS: Final = 8
_BATCH: Final = 64
_THRESHOLD: Final = 0.8


class SmallEncoder(nn.Module):
    """Blocks of 3x3 convolution with stride 2, GroupNorm and SiLU; mean over the plane; linear; length 1.

    `config` needs `channels` (each a multiple of 8) and `dim`; raises `EmbedderUnavailable`.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        channels, dim = _sizes(config.get("channels")), _sizes([config.get("dim")])
        if not channels or not dim or any(count % _GROUPS for count in channels):
            raise EmbedderUnavailable(
                f"A picture encoder's config needs 'channels', a list of multiples of {_GROUPS}, and 'dim', a whole number."
            )
        blocks: list[nn.Module] = []
        for before, after in pairwise([3, *channels]):
            blocks += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(_GROUPS, after), nn.SiLU()]
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(channels[-1], dim[0])

    def forward(self, pixels_N3SS: Tensor) -> Tensor:
        """Unit rows [N, D]."""
        plane_NCHW = self.blocks(pixels_N3SS)
        return nn.functional.normalize(self.head(plane_NCHW.mean(dim=(2, 3))), dim=-1)


def pixels_of(pictures: Sequence[Image], side: int) -> Tensor:
    """Pictures as pixels in -1..1 [N, 3, S, S], made square without cutting."""
    from PIL.Image import Resampling

    squares = [
        picture.convert("RGB") if picture.size == (side, side) else _resized(picture, side, Resampling.BICUBIC)
        for picture in pictures
    ]
    pixels_NSS3 = np.stack([np.asarray(square, dtype=np.float32) for square in squares])
    return torch.from_numpy(pixels_NSS3).permute(0, 3, 1, 2) / 127.5 - 1.0


class SmallPictureEncoder:
    """The embedder: a trained `SmallEncoder` on the CPU."""

    name = "small-encoder"

    def __init__(self, encoder: SmallEncoder, config: Mapping[str, Any], *, fingerprint: str) -> None:
        self._encoder = encoder.eval()
        self._side = int(config["image_size"])
        self.dim = int(config["dim"])
        self.threshold = float(config.get("threshold", _THRESHOLD))
        self.fingerprint = fingerprint

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read the folder; raises `EmbedderUnavailable` for one that holds no such encoder."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        source = Path(folder).expanduser()
        try:
            described, weights = (source / CONFIG_FILE).read_bytes(), (source / WEIGHTS_FILE).read_bytes()
            config = json.loads(described)
        except (OSError, ValueError) as error:
            raise _not_an_encoder(source, f"{type(error).__name__}") from None
        if not isinstance(config, dict) or config.get("kind") != KIND or not _sizes([config.get("image_size")]):
            raise _not_an_encoder(source, f"its config.json needs kind '{KIND}' and an 'image_size'")
        encoder = SmallEncoder(config)
        try:
            encoder.load_state_dict({name: value.float() for name, value in load(weights).items()})
        except (SafetensorError, RuntimeError):
            raise _not_an_encoder(source, "its weights do not fit its config.json") from None
        digest = hashlib.sha256(_RECIPE.encode() + hashlib.sha256(described).digest() + weights)
        return cls(encoder, config, fingerprint=digest.hexdigest()[:24])

    def embed(self, pictures: Sequence[Image]) -> Vectors:
        """See the protocol."""
        rows = [np.empty((0, self.dim), dtype=np.float32)]
        with torch.inference_mode():
            for first in range(0, len(pictures), _BATCH):
                pixels_N3SS = pixels_of(pictures[first : first + _BATCH], self._side)
                rows.append(self._encoder(pixels_N3SS).numpy())
        return np.concatenate(rows)


def _resized(picture: Image, side: int, resample: int) -> Image:
    return picture.convert("RGB").resize((side, side), resample)


def _sizes(value: object) -> list[int]:
    """A list of whole numbers above 0; empty for anything else."""
    items = value if isinstance(value, (list, tuple)) else []
    return list(items) if all(type(item) is int and item > 0 for item in items) else []


def _not_an_encoder(folder: Path, why: str) -> EmbedderUnavailable:
    return EmbedderUnavailable(
        f"The folder '{folder}' holds no picture encoder ({why}): it needs {CONFIG_FILE} and {WEIGHTS_FILE}. "
        "Name another in picture_embedder_model."
    )
