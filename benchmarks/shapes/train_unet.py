"""Trains the UNet, and the text encoder slowly with it: v-prediction on latents under fresh captions of their scenes.

v = sqrt(a_t) noise - sqrt(1 - a_t) x_0 (Salimans and Ho 2022, arXiv:2202.00512); a tenth of the captions is empty, for
classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598). What ships is the running mean of the weights.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.shapes import networks
from benchmarks.shapes.captions import caption
from benchmarks.shapes.recipe import Recipe
from benchmarks.shapes.scenes import Scene
from benchmarks.shapes.steps import Optimiser, mixed

_STREAM: Final = 13


class UnetLearner:
    """See `steps.Learner`. Latents [N, C, L, L] are those of the scenes' pictures."""

    def __init__(self, recipe: Recipe, *, text_encoder: Any, latents: Tensor, scenes: Sequence[Scene]) -> None:
        self.unet, self.text_encoder = networks.unet(recipe), text_encoder
        self._recipe, self._latents, self._scenes = recipe, latents, scenes
        self._tokenizer, self._scheduler = networks.tokenizer(), networks.scheduler()
        words: nn.Parameter = text_encoder.get_input_embeddings().weight
        others = [weight for weight in text_encoder.parameters() if weight is not words]
        self._optimiser = Optimiser(
            [
                (list(self.unet.parameters()), recipe.unet_rate),
                (others, recipe.unet_rate * recipe.unet_text_share),
                ([words], recipe.unet_rate * recipe.unet_words_share),
            ],
            steps=recipe.unet_steps,
            warmup=100,
        )
        self._weights = [*self.unet.parameters(), *text_encoder.parameters()]
        self._mean = [weight.detach().clone() for weight in self._weights]

    def step(self, number: int) -> float:
        """See the protocol."""
        recipe = self._recipe
        chosen = np.random.default_rng([recipe.seed, _STREAM, number]).integers(0, len(self._scenes), recipe.unet_batch)
        draw = torch.Generator().manual_seed(mixed(recipe.seed, _STREAM, number))
        latents = self._latents[torch.from_numpy(chosen)]
        noise = torch.randn(latents.shape, generator=draw)
        times = torch.randint(0, self._scheduler.config.num_train_timesteps, (len(latents),), generator=draw)
        self.unet.train()
        self.text_encoder.train()
        states = self.text_encoder(self._ids(chosen, number))[0]
        noisy = self._scheduler.add_noise(latents, noise, times)
        told = self.unet(noisy, times, encoder_hidden_states=states).sample
        loss = nn.functional.mse_loss(told, self._scheduler.get_velocity(latents, noise, times))
        value = self._optimiser.step(loss, number)
        self._remember(number)
        return value

    def state(self) -> dict[str, Any]:
        """See the protocol."""
        return {
            "unet": self.unet.state_dict(),
            "text_encoder": self.text_encoder.state_dict(),
            "mean": self._mean,
            "optimiser": self._optimiser.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """See the protocol."""
        self.unet.load_state_dict(state["unet"])
        self.text_encoder.load_state_dict(state["text_encoder"])
        self._mean = list(state["mean"])
        self._optimiser.restore(state["optimiser"])

    def finished(self) -> tuple[Any, Any]:
        """UNet and text encoder with the running means of their weights."""
        with torch.no_grad():
            for weight, mean in zip(self._weights, self._mean, strict=True):
                weight.copy_(mean)
        return self.unet.eval(), self.text_encoder.eval()

    def _ids(self, chosen: Iterable[int], number: int) -> Tensor:
        rng = random.Random(f"unet {self._recipe.seed} {number}")
        texts = [caption(self._scenes[place], rng).text for place in chosen]
        dropped = ["" if rng.random() < self._recipe.unet_caption_dropout else text for text in texts]
        return networks.tokens_of(self._tokenizer, dropped)

    def _remember(self, number: int) -> None:
        """The mean follows quickly at first, else it would keep the random weights of the beginning."""
        keep = min(self._recipe.unet_ema, (1 + number) / (10 + number))
        with torch.no_grad():
            torch._foreach_lerp_(self._mean, [weight.detach() for weight in self._weights], 1 - keep)
