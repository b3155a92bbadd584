"""Pictures as the models take them, and through the VAE and back. Pixels are -1..1 [N, 3, S, S]; latents [N, C, L, L]."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from benchmarks.shapes.rendering import Pictures

_BATCH: Final = 64


def pixels_of(pictures: Pictures) -> Tensor:
    """uint8 [N, S, S, 3] as float32."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def encoded(vae: Any, pictures: Pictures) -> Tensor:
    """Latents as the UNet takes them: posterior means times the scaling factor."""
    parts = []
    with torch.inference_mode():
        for batch in _batches(pictures):
            parts.append(vae.encode(pixels_of(batch)).latent_dist.mean * vae.config.scaling_factor)
    # A copy outside of inference mode, so that training may use it.
    return torch.cat(parts).clone()


def through(vae: Any, pictures: Pictures) -> Pictures:
    """The pictures as the VAE gives them back."""
    parts = []
    with torch.inference_mode():
        for batch in _batches(pictures):
            pixels = vae.decode(vae.encode(pixels_of(batch)).latent_dist.mean).sample
            parts.append(((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy())
    return np.concatenate(parts)


def _batches(pictures: Pictures) -> Iterator[Pictures]:
    for first in range(0, len(pictures), _BATCH):
        yield pictures[first : first + _BATCH]
