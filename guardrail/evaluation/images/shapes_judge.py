"""The judge of the small shapes model: reads the folder that `benchmarks.shapes` trains and says what a picture shows.

`config.json`: {"kind": "expunge-picture-judge", "image_size": 32, "channels": [...], "heads": {"shape": [..., "none"]}};
`model.safetensors`: blocks of 3x3 convolution with stride 2, BatchNorm and ReLU, the mean over the plane, a linear head an
attribute. The layers are called as functions: the trainable network lies beside its training and gives the same (tested).
Pixels are RGB in -1..1. Shapes: N pictures, S side, D features.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from guardrail.errors import InvalidInput
from guardrail.evaluation.images.judges import CONFIG_FILE, Looked, Seen, Values, check_values

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

KIND: Final = "expunge-picture-judge"
WEIGHTS_FILE: Final = "model.safetensors"
_BATCH: Final = 64
_EPSILON: Final = 1e-5
"""BatchNorm's."""
_LAYERS: Final = 3
"""Of a block: convolution, BatchNorm, ReLU."""


class ShapesJudge:
    """See the module; `load` makes it."""

    name = KIND

    def __init__(self, config: Mapping[str, Any], weights: Mapping[str, torch.Tensor], *, fingerprint: str) -> None:
        self._side = int(config["image_size"])
        self._blocks = len(config["channels"])
        self._heads: Mapping[str, Sequence[str]] = config["heads"]
        self._weights = {name: value.float() for name, value in weights.items()}
        self.fingerprint = fingerprint

    @classmethod
    def load(cls, folder: Path, values: Values | None = None) -> Self:
        """Raises `InvalidInput` for a folder that holds no such judge, or one that cannot see these values."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            described, stored = (folder / CONFIG_FILE).read_bytes(), (folder / WEIGHTS_FILE).read_bytes()
            judge = cls(json.loads(described), load(stored), fingerprint=_digest(described, stored))
            judge.logits(judge.pixels([]))
        except (OSError, ValueError, LookupError, TypeError, RuntimeError, SafetensorError) as error:
            raise InvalidInput(
                f"{folder} holds no judge of shapes ({type(error).__name__}); train one: "
                "python -m benchmarks.shapes.train --part judge"
            ) from None
        check_values(values or {}, judge._heads, f"in {folder}")
        return judge

    def look(self, pictures: Sequence[Image]) -> Looked:
        """See the protocol."""
        import numpy as np
        import torch

        seen = list[Mapping[str, Seen]]()
        rows = [np.empty((0, len(self._weights[f"heads.{next(iter(self._heads))}.weight"][0])), dtype=np.float32)]
        with torch.inference_mode():
            for first in range(0, len(pictures), _BATCH):
                features_ND, logits = self.logits(self.pixels(pictures[first : first + _BATCH]))
                rows.append(features_ND.numpy())
                told = {name: one.softmax(dim=1).max(dim=1) for name, one in logits.items()}
                for place in range(len(features_ND)):
                    seen.append({name: self._seen(name, one, place) for name, one in told.items()})
        return Looked(seen=tuple(seen), features=np.concatenate(rows))

    def pixels(self, pictures: Sequence[Image]) -> torch.Tensor:
        """Pictures as pixels [N, 3, S, S]."""
        import numpy as np
        import torch
        from PIL.Image import Resampling

        side = (self._side, self._side)
        squares = [one.convert("RGB") for one in pictures]
        squares = [one if one.size == side else one.resize(side, Resampling.BICUBIC) for one in squares]
        stacked = np.stack([np.asarray(one) for one in squares]) if squares else np.empty((0, *side, 3), dtype=np.uint8)
        return torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 127.5 - 1.0

    def logits(self, pixels_N3SS: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """What the heads read [N, D], and what they say of each attribute's values."""
        from torch.nn.functional import batch_norm, conv2d, linear, relu

        known, plane = self._weights, pixels_N3SS
        for block in range(self._blocks):
            conv, norm = f"blocks.{block * _LAYERS}", f"blocks.{block * _LAYERS + 1}"
            plane = conv2d(plane, known[f"{conv}.weight"], known[f"{conv}.bias"], stride=2, padding=1)
            mean, variance = known[f"{norm}.running_mean"], known[f"{norm}.running_var"]
            plane = relu(
                batch_norm(plane, mean, variance, known[f"{norm}.weight"], known[f"{norm}.bias"], eps=_EPSILON)
            )
        features_ND = plane.mean(dim=(2, 3))
        heads = {
            name: linear(features_ND, known[f"heads.{name}.weight"], known[f"heads.{name}.bias"])
            for name in self._heads
        }
        return features_ND, heads

    def _seen(self, name: str, told: Any, place: int) -> Seen:
        return Seen(value=self._heads[name][int(told.indices[place])], confidence=round(float(told.values[place]), 4))


def _digest(described: bytes, stored: bytes) -> str:
    return hashlib.sha256(hashlib.sha256(described).digest() + stored).hexdigest()[:24]
