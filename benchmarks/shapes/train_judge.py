"""Trains the judge: cross-entropy of every attribute, over scenes and pictures that show nothing known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from benchmarks.shapes.examples import UNTOLD, Examples
from benchmarks.shapes.judge_network import KIND, NONE, ShapesJudge
from benchmarks.shapes.pixels import pixels_of
from benchmarks.shapes.recipe import Recipe
from benchmarks.shapes.rendering import SIDE
from benchmarks.shapes.steps import Optimiser, mixed, seeded
from benchmarks.shapes.vocabulary import ATTRIBUTES, names

_STREAM: Final = 14
_GRAIN: Final = 0.03
"""Deviation of the noise on the pixels: generated pictures are not as clean as drawn ones."""


def config_of(recipe: Recipe) -> dict[str, Any]:
    """The judge's `config.json`."""
    return {
        "kind": KIND,
        "image_size": SIDE,
        "channels": list(recipe.judge_channels),
        "heads": {attribute: [*names(attribute), NONE] for attribute in ATTRIBUTES},
    }


class JudgeLearner:
    """See `steps.Learner`."""

    def __init__(self, recipe: Recipe, examples: Examples) -> None:
        with seeded(recipe.seed, _STREAM):
            self.judge = ShapesJudge(config_of(recipe))
        self._recipe, self._examples = recipe, examples
        self._optimiser = Optimiser(
            [(list(self.judge.parameters()), recipe.judge_rate)], steps=recipe.judge_steps, warmup=30
        )

    def step(self, number: int) -> float:
        """See the protocol."""
        recipe = self._recipe
        rng = np.random.default_rng([recipe.seed, _STREAM, number])
        chosen = rng.integers(0, len(self._examples.pictures), recipe.judge_batch)
        pixels = pixels_of(self._examples.pictures[chosen])
        draw = torch.Generator().manual_seed(mixed(recipe.seed, _STREAM, number))
        pixels = pixels + _GRAIN * torch.randn(pixels.shape, generator=draw)
        labels = torch.from_numpy(self._examples.labels[chosen])
        self.judge.train()
        told = self.judge(pixels)
        losses = [
            nn.functional.cross_entropy(told[name], labels[:, place], ignore_index=UNTOLD, reduction="sum")
            for place, name in enumerate(ATTRIBUTES)
        ]
        return self._optimiser.step(torch.stack(losses).sum() / len(chosen), number)

    def state(self) -> dict[str, Any]:
        """See the protocol."""
        return {"judge": self.judge.state_dict(), "optimiser": self._optimiser.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See the protocol."""
        self.judge.load_state_dict(state["judge"])
        self._optimiser.restore(state["optimiser"])
