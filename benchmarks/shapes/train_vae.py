"""Trains the autoencoder: 32 x 32 pixels to 8 x 8 latents of 8 channels and back.

loss = mean (x - x')^2 + 0.5 mean |x - x'| + 5e-4 KL a latent number (Kingma and Welling 2013, arXiv:1312.6114). The scaling
factor makes the latents' deviation 1. bfloat16 halves the time here; it does not for the UNet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch

from benchmarks.shapes import networks
from benchmarks.shapes.pixels import encoded, pixels_of
from benchmarks.shapes.recipe import Recipe
from benchmarks.shapes.rendering import Pictures
from benchmarks.shapes.steps import Optimiser, mixed

_L1: Final = 0.5
_KL: Final = 5e-4
_STREAM: Final = 11
_MEASURED: Final = 2000


class VaeLearner:
    """See `steps.Learner`."""

    def __init__(self, recipe: Recipe, pictures: Pictures) -> None:
        self.vae = networks.vae(recipe)
        self._recipe, self._pictures = recipe, pictures
        self._optimiser = Optimiser([(list(self.vae.parameters()), recipe.vae_rate)], steps=recipe.vae_steps, warmup=50)

    def step(self, number: int) -> float:
        """See the protocol."""
        rng = np.random.default_rng([self._recipe.seed, _STREAM, number])
        chosen = rng.integers(0, len(self._pictures), self._recipe.vae_batch)
        pixels = pixels_of(self._pictures[chosen])
        noise = torch.Generator().manual_seed(mixed(self._recipe.seed, _STREAM, number))
        self.vae.train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            posterior = self.vae.encode(pixels).latent_dist
            back = self.vae.decode(posterior.sample(generator=noise)).sample
        difference = back.float() - pixels
        kl = posterior.kl().float().mean() / posterior.mean[0].numel()
        loss = difference.square().mean() + _L1 * difference.abs().mean() + _KL * kl
        return self._optimiser.step(loss, number)

    def state(self) -> dict[str, Any]:
        """See the protocol."""
        return {"vae": self.vae.state_dict(), "optimiser": self._optimiser.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See the protocol."""
        self.vae.load_state_dict(state["vae"])
        self._optimiser.restore(state["optimiser"])


def scaled(vae: Any, pictures: Pictures) -> Any:
    """The VAE with the scaling factor that gives the latents of these pictures deviation 1."""
    vae.eval().register_to_config(scaling_factor=1.0)
    deviation = float(encoded(vae, pictures[:_MEASURED]).std())
    vae.register_to_config(scaling_factor=1.0 / max(deviation, 1e-6))
    return vae
