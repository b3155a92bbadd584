"""Two losses that ask the UNet: under which prompt does it see the concept's pictures in noise?

Both compare what the UNet tells of a reference picture under noise with what it should tell, at a few fixed times and
noises, so that losses of rows can be compared. They are functions of the text's states, as those in `attacks_states` are.
Shapes: N rows, B reference pictures, C channels and L side of latents, T tokens, D width.

`pictures_denoised` (UnlearnDiffAtk, Zhang et al. 2023, arXiv:2310.11868): E |u(x_t | x) - v_t|^2, where x_t is a picture of
the concept under noise and v_t what was to be told: the model itself is the classifier, no other is needed. Differs from
the paper: v-prediction, as this model has it; words are chosen greedily with exact tries, not by projected gradients.

`teacher_followed` (P4D, Chin et al. 2023, arXiv:2309.06135): E |u(x_t | x) - u(x_t | text)|^2, where the text names the
concept. Differs: teacher and attacked are the same model, as nothing was taken out of it; greedy instead of PEZ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from benchmarks.shapes.attacks_states import StatesLoss

_FROM, _TO = 0.35, 0.95
"""Share of the noise times: above, nothing is left to see; below, the prompt no longer matters."""
_MOST: Final = 192
"""Of pairs of a row and a picture at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Noisy:
    """Pictures under noise [B, C, L, L], their times [B], and what is to be told of them [B, C, L, L]."""

    latents: Tensor
    times: Tensor
    wanted: Tensor


def under_noise(scheduler: Any, latents_BCLL: Tensor, *, seed: int) -> Noisy:
    """Each picture at one time, the times spread evenly."""
    draw = torch.Generator().manual_seed(seed)
    noise = torch.randn(latents_BCLL.shape, generator=draw)
    last = scheduler.config.num_train_timesteps - 1
    times = torch.linspace(_FROM * last, _TO * last, len(latents_BCLL)).long()
    return Noisy(
        latents=scheduler.add_noise(latents_BCLL, noise, times),
        times=times,
        wanted=scheduler.get_velocity(latents_BCLL, noise, times),
    )


def pictures_denoised(unet: Any, noisy: Noisy) -> StatesLoss:
    """See the module."""

    def loss(states_NTD: Tensor) -> Tensor:
        step = max(1, _MOST // len(noisy.times))
        firsts = range(0, len(states_NTD), step)
        return torch.cat([_missed(unet, noisy, states_NTD[first : first + step]) for first in firsts])

    return loss


def teacher_followed(unet: Any, noisy: Noisy, states_1TD: Tensor) -> StatesLoss:
    """See the module; the states are those of the text that names the concept."""
    with torch.no_grad():
        told = _told(unet, noisy, states_1TD)[0]
    return pictures_denoised(unet, Noisy(latents=noisy.latents, times=noisy.times, wanted=told))


def _missed(unet: Any, noisy: Noisy, states_NTD: Tensor) -> Tensor:
    return (_told(unet, noisy, states_NTD) - noisy.wanted).square().mean(dim=(1, 2, 3, 4))


def _told(unet: Any, noisy: Noisy, states_NTD: Tensor) -> Tensor:
    """[N, B, C, L, L]."""
    rows, pictures = len(states_NTD), len(noisy.times)
    told: Tensor = unet(
        noisy.latents.repeat(rows, 1, 1, 1),
        noisy.times.repeat(rows),
        encoder_hidden_states=states_NTD.repeat_interleave(pictures, dim=0),
    ).sample
    return told.reshape(rows, pictures, *told.shape[1:])
