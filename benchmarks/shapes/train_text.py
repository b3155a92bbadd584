"""Pre-trains the text encoder, a stand-in for CLIP: any place from a caption's end on must tell what the caption says.

One head an attribute, with a class of its own for what the caption leaves open. Held-out synonyms and things are never
read here. The heads are thrown away.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

from benchmarks.shapes import networks
from benchmarks.shapes.captions import caption
from benchmarks.shapes.recipe import Recipe
from benchmarks.shapes.scenes import draw_scene
from benchmarks.shapes.steps import Optimiser, seeded
from benchmarks.shapes.vocabulary import ATTRIBUTES, names

_STREAM: Final = 12


class TextLearner:
    """See `steps.Learner`."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe, self._tokenizer = recipe, networks.tokenizer()
        self.text_encoder = networks.text_encoder(recipe, self._tokenizer)
        with seeded(recipe.seed, _STREAM):
            self.heads = nn.ModuleDict(
                {name: nn.Linear(recipe.text_width, len(names(name)) + 1) for name in ATTRIBUTES}
            )
        weights = [*self.text_encoder.parameters(), *self.heads.parameters()]
        self._optimiser = Optimiser([(weights, recipe.text_rate)], steps=recipe.text_steps, warmup=50)

    def step(self, number: int) -> float:
        """See the protocol."""
        rng = random.Random(f"text {self._recipe.seed} {number}")
        ids, wanted = self.batch(rng)
        self.text_encoder.train()
        states_NTD = self.text_encoder(ids)[0]
        ends = (ids == self._tokenizer.eos_token_id).int().argmax(dim=1)
        places = torch.tensor([rng.randrange(int(end), ids.shape[1]) for end in ends])
        state_ND = states_NTD[torch.arange(len(ids)), places]
        losses = [nn.functional.cross_entropy(self.heads[name](state_ND), wanted[name]) for name in ATTRIBUTES]
        return self._optimiser.step(torch.stack(losses).sum(), number)

    def batch(self, rng: random.Random) -> tuple[Tensor, dict[str, Tensor]]:
        """Token ids [N, T], and what they say an attribute [N]: its value's number, or one past the last."""
        texts: list[str] = []
        wanted: dict[str, list[int]] = {name: [] for name in ATTRIBUTES}
        for _ in range(self._recipe.text_batch):
            scene = draw_scene(rng, taught_only=True)
            one = caption(scene, rng, taught_only=True)
            texts.append(one.text)
            for name in ATTRIBUTES:
                known = names(name)
                wanted[name].append(known.index(scene.value(name)) if name in one.said else len(known))
        ids = networks.tokens_of(self._tokenizer, texts)
        return ids, {name: torch.tensor(numbers) for name, numbers in wanted.items()}

    def state(self) -> dict[str, Any]:
        """See the protocol."""
        return {
            "text_encoder": self.text_encoder.state_dict(),
            "heads": self.heads.state_dict(),
            "optimiser": self._optimiser.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """See the protocol."""
        self.text_encoder.load_state_dict(state["text_encoder"])
        self.heads.load_state_dict(state["heads"])
        self._optimiser.restore(state["optimiser"])
