"""Trains the inspector's image encoder: pictures that show the same come near one another, whatever else differs.

Every attribute is told from the unit vector by its cosine to a direction of each value (shape, colour and style weigh
most), and two drawings of one scene, one of them decoded by the VAE, find each other among the batch (InfoNCE, van den
Oord et al. 2018, arXiv:1807.03748). The directions are thrown away. Neither its pictures nor its architecture are the
judge's. Shapes: N pictures, D numbers a vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.shapes.examples import UNTOLD, Examples, labels_of, negatives, none_of
from benchmarks.shapes.pixels import pixels_of, through
from benchmarks.shapes.recipe import Recipe
from benchmarks.shapes.rendering import SIDE, Pictures, render_all
from benchmarks.shapes.scenes import draw_scenes
from benchmarks.shapes.steps import Optimiser, seeded
from benchmarks.shapes.vocabulary import ATTRIBUTES, Attribute
from retrieval.picture_embedders.small_encoder import KIND, SmallEncoder

_STREAM: Final = 15
_WEIGHTS: Final[Mapping[Attribute, float]] = {
    "shape": 1.0,
    "colour": 1.0,
    "style": 1.0,
    "background": 0.2,
    "position": 0.2,
}
_SHARPNESS: Final = 16.0
_NCE_SHARE: Final = 0.2
_NCE_TEMPERATURE: Final = 0.1
_MATTERING: Final = 3
"""Shape, colour and style: the first three attributes decide whether two pictures show the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Views:
    """Two pictures [N, S, S, 3] of every scene with labels [N, A], and pictures that show nothing known."""

    drawn: Pictures
    decoded: Pictures
    labels: np.ndarray[Any, np.dtype[np.int64]]
    nothing: Examples


def views(number: int, *, seed: int, vae: Any) -> Views:
    """The training pictures; the same for the same seed and VAE."""
    scenes = draw_scenes(number, seed=f"views {seed}", with_things=False)
    return Views(
        drawn=render_all(scenes, seed=seed),
        decoded=through(vae, render_all(scenes, seed=seed + 1)),
        labels=np.array([labels_of(scene) for scene in scenes], dtype=np.int64),
        nothing=negatives(max(5, number // 4), seed=seed + 2),
    )


def config_of(recipe: Recipe) -> dict[str, Any]:
    """The encoder's `config.json`, but for its threshold."""
    channels = list(recipe.encoder_channels)
    return {"kind": KIND, "image_size": SIDE, "channels": channels, "dim": recipe.encoder_dim}


class EncoderLearner:
    """See `steps.Learner`."""

    def __init__(self, recipe: Recipe, pictures: Views) -> None:
        with seeded(recipe.seed, _STREAM):
            self.encoder = SmallEncoder(config_of(recipe))
            self.directions = nn.ModuleDict(
                {name: nn.Linear(recipe.encoder_dim, none_of(name) + 1, bias=False) for name in ATTRIBUTES}
            )
        self._recipe, self._views = recipe, pictures
        weights = [*self.encoder.parameters(), *self.directions.parameters()]
        self._optimiser = Optimiser([(weights, recipe.encoder_rate)], steps=recipe.encoder_steps, warmup=30)

    def step(self, number: int) -> float:
        """See the protocol."""
        rng = np.random.default_rng([self._recipe.seed, _STREAM, number])
        batch, seen = self._recipe.encoder_batch, self._views
        chosen = rng.integers(0, len(seen.drawn), batch)
        strange = rng.integers(0, len(seen.nothing.pictures), max(1, batch // 4))
        pixels = pixels_of(np.concatenate([seen.drawn[chosen], seen.decoded[chosen], seen.nothing.pictures[strange]]))
        one = torch.from_numpy(seen.labels[chosen])
        labels = torch.cat([one, one, torch.from_numpy(seen.nothing.labels[strange])])
        self.encoder.train()
        rows_ND = self.encoder(pixels)
        told = self._attributes(rows_ND, labels)
        found = _found(rows_ND[:batch], rows_ND[batch : 2 * batch], one)
        return self._optimiser.step(told + _NCE_SHARE * found, number)

    def _attributes(self, rows_ND: Tensor, labels: Tensor) -> Tensor:
        total = rows_ND.new_zeros(())
        for place, name in enumerate(ATTRIBUTES):
            directions = nn.functional.normalize(self.directions[name].get_parameter("weight"), dim=-1)
            logits = _SHARPNESS * rows_ND @ directions.T
            loss = nn.functional.cross_entropy(logits, labels[:, place], ignore_index=UNTOLD, reduction="sum")
            total = total + _WEIGHTS[name] * loss / len(rows_ND)
        return total

    def state(self) -> dict[str, Any]:
        """See the protocol."""
        return {
            "encoder": self.encoder.state_dict(),
            "directions": self.directions.state_dict(),
            "optimiser": self._optimiser.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """See the protocol."""
        self.encoder.load_state_dict(state["encoder"])
        self.directions.load_state_dict(state["directions"])
        self._optimiser.restore(state["optimiser"])


def found_threshold(encoder: SmallEncoder, pictures: Views) -> float:
    """The cosine that best parts pairs of one shape, colour and style from pairs that differ in one of the three.

    `pictures` must be none of the training's.
    """
    encoder.eval()
    with torch.inference_mode():
        drawn_ND, decoded_ND = encoder(pixels_of(pictures.drawn)), encoder(pixels_of(pictures.decoded))
    cosines_NN = (drawn_ND @ decoded_ND.T).numpy()
    mattering = pictures.labels[:, :_MATTERING]
    differing_NN = (mattering[:, None, :] != mattering[None, :, :]).sum(axis=2)
    return best_parting(cosines_NN[differing_NN == 0].tolist(), cosines_NN[differing_NN == 1].tolist())


def best_parting(same: Sequence[float], other: Sequence[float]) -> float:
    """The level with the most of `same` at or above it and of `other` below, each counted as a share."""
    levels = np.linspace(-1, 1, 401)
    above = (np.asarray(same)[None, :] >= levels[:, None]).mean(axis=1) if same else np.ones(len(levels))
    below = (np.asarray(other)[None, :] < levels[:, None]).mean(axis=1) if other else np.ones(len(levels))
    best = above + below
    # Of equally good levels the middle one.
    return round(float(levels[np.flatnonzero(best >= best.max() - 1e-12)].mean()), 3)


def _found(drawn_ND: Tensor, decoded_ND: Tensor, labels: Tensor) -> Tensor:
    """InfoNCE; another picture of the very same scene is no negative."""
    cosines_NN = drawn_ND @ decoded_ND.T / _NCE_TEMPERATURE
    same_NN = (labels[:, None, :] == labels[None, :, :]).all(dim=-1)
    itself_NN = torch.eye(len(labels), dtype=torch.bool)
    masked_NN = cosines_NN.masked_fill(same_NN & ~itself_NN, float("-inf"))
    return nn.functional.cross_entropy(masked_NN, torch.arange(len(labels)))
