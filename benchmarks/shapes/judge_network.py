"""The judge: a small network that tells of a picture which shape, colour, style, ground and place it shows, or none.

It measures; the gate that serves looks with another model (`retrieval.picture_embedders.small_encoder`), which has another
architecture and other training pictures. What a folder holds is told by `guardrail.evaluation.images.shapes_judge`, which
judges for `expunge eval images` and gives the same (tested). Shapes: N pictures, S side, C channels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from benchmarks.shapes.pixels import pixels_of
from benchmarks.shapes.rendering import Pictures
from guardrail.errors import InvalidInput
from guardrail.evaluation.images.judges import CONFIG_FILE, NONE
from guardrail.evaluation.images.shapes_judge import KIND, WEIGHTS_FILE

__all__ = ["CONFIG_FILE", "KIND", "NONE", "WEIGHTS_FILE", "Judge", "ShapesJudge"]


class ShapesJudge(nn.Module):
    """Blocks of 3x3 convolution with stride 2, BatchNorm and ReLU; mean over the plane; one linear head an attribute."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for before, after in pairwise([3, *config["channels"]]):
            blocks += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        self.blocks = nn.Sequential(*blocks)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(config["channels"][-1], len(values)) for name, values in config["heads"].items()}
        )

    def features(self, pixels_N3SS: Tensor) -> Tensor:
        """What the heads read [N, C]; also what a quality distance compares."""
        plane_NCHW: Tensor = self.blocks(pixels_N3SS)
        return plane_NCHW.mean(dim=(2, 3))

    def forward(self, pixels_N3SS: Tensor) -> dict[str, Tensor]:
        """Logits of every attribute's values."""
        features_NC = self.features(pixels_N3SS)
        return {name: head(features_NC) for name, head in self.heads.items()}


class Judge:
    """A trained `ShapesJudge` that speaks of values by name."""

    def __init__(self, network: ShapesJudge, heads: Mapping[str, list[str]]) -> None:
        self._network, self._heads = network.eval(), heads

    @classmethod
    def load(cls, folder: Path) -> Judge:
        """Raises `InvalidInput` for a folder that holds no judge."""
        from safetensors.torch import load_file

        try:
            config = json.loads((folder / CONFIG_FILE).read_bytes())
            weights = load_file(folder / WEIGHTS_FILE)
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{folder} holds no judge ({type(error).__name__}); train one: {_COMMAND}") from None
        if config.get("kind") != KIND:
            raise InvalidInput(f"{folder} holds no judge: the kind in its config.json is not '{KIND}'; see {_COMMAND}")
        network = ShapesJudge(config)
        network.load_state_dict({n: w.float() if w.is_floating_point() else w for n, w in weights.items()})
        return cls(network, config["heads"])

    def seen(self, pictures: Pictures) -> list[dict[str, str]]:
        """For every picture the value of every attribute, or "none"."""
        with torch.inference_mode():
            logits = self._network(pixels_of(pictures))
        numbers = {name: told.argmax(dim=1).tolist() for name, told in logits.items()}
        return [
            {name: self._heads[name][numbers[name][place]] for name in self._heads} for place in range(len(pictures))
        ]


_COMMAND: Final = "python -m benchmarks.shapes.train --part judge"
