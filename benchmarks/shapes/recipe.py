"""How the shapes model is made: sizes, steps and rates of all its parts, in one value.

`FULL` is what ships: about 43 minutes of one core. `TINY` runs every line of the same code in seconds and learns nothing.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import random
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from benchmarks.shapes.captions import caption
from benchmarks.shapes.rendering import render_all
from benchmarks.shapes.scenes import draw_scenes

Part = Literal["vae", "text", "unet", "judge", "encoder"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)
"""In the order in which they need one another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """`*_rate`: the highest learning rate, fallen to 0 at the last step. `pictures`: of the VAE and the UNet.

    `judge_pictures` and `encoder_pictures` are others, and differ from one another.
    """

    seed: int = 0
    save_every_steps: int = 100
    pictures: int = 24_000

    vae_steps: int = 4500
    vae_batch: int = 16
    vae_rate: float = 2e-3
    vae_channels: tuple[int, ...] = (16, 32, 64)
    latent_channels: int = 8

    text_steps: int = 450
    text_batch: int = 64
    text_rate: float = 2e-3
    text_width: int = 128
    text_layers: int = 2

    unet_steps: int = 6000
    unet_batch: int = 32
    unet_rate: float = 1.5e-3
    unet_channels: tuple[int, ...] = (48, 96)
    unet_text_share: float = 0.1
    """The text encoder's rate while the UNet learns, as a share of the UNet's."""
    unet_words_share: float = 0.3
    """The same for its word embeddings: held-out words are only learnt here."""
    unet_caption_dropout: float = 0.1
    unet_ema: float = 0.997

    judge_pictures: int = 8000
    judge_steps: int = 1000
    judge_batch: int = 128
    judge_rate: float = 2e-3
    judge_channels: tuple[int, ...] = (32, 64, 128, 128)

    encoder_pictures: int = 5000
    encoder_steps: int = 700
    encoder_batch: int = 64
    encoder_rate: float = 2e-3
    encoder_channels: tuple[int, ...] = (32, 64, 96, 128)
    encoder_dim: int = 64

    def fingerprint(self, part: Part) -> str:
        """Changes with whatever a part's weights depend on: its own numbers, common ones, earlier parts', and the world."""
        used: dict[str, Any] = {"seed": self.seed, "pictures": self.pictures, "latent_channels": self.latent_channels}
        used["world"] = world_digest()
        fields = dataclasses.asdict(self)
        for name in (*_NEEDS[part], part):
            used |= {key: value for key, value in fields.items() if key.startswith(f"{name}_")}
        return hashlib.sha256(json.dumps(used, sort_keys=True).encode()).hexdigest()[:16]


@functools.cache
def world_digest() -> str:
    """Changes with how scenes, captions and pictures come out: what was kept of another world must not be used in this."""
    scenes = draw_scenes(96, seed="digest")
    rng = random.Random("digest")
    told = "\n".join(caption(scene, rng).text for scene in scenes)
    return hashlib.sha256(told.encode() + render_all(scenes, seed=0).tobytes()).hexdigest()[:12]


_NEEDS: Final[dict[Part, tuple[Part, ...]]] = {
    "vae": (),
    "text": (),
    "unet": ("vae", "text"),
    "judge": ("vae",),
    "encoder": ("vae",),
}

FULL: Final = Recipe()
TINY: Final = Recipe(
    save_every_steps=2,
    pictures=24,
    vae_steps=4,
    vae_batch=4,
    vae_channels=(8, 8, 16),
    text_steps=4,
    text_batch=4,
    text_width=16,
    text_layers=1,
    unet_steps=4,
    unet_batch=4,
    unet_channels=(16, 16),
    judge_pictures=16,
    judge_steps=4,
    judge_batch=8,
    judge_channels=(8, 16),
    encoder_pictures=16,
    encoder_steps=4,
    encoder_batch=8,
    encoder_channels=(8, 16),
    encoder_dim=16,
)
