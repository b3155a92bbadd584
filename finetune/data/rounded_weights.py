"""What weights become in 8 or 4 bits, in the dtype that they had.

8 bits: absmax round-to-nearest for each row of outputs, w ~ q / 127 * max |row|, q an integer (as in bitsandbytes'
LLM.int8, without its outlier columns; Dettmers et al. 2022, arXiv:2208.07339). 4 bits: NormalFloat4 in blocks of 64
weights, w ~ c * max |block|, c one of 16 levels (QLoRA, Dettmers et al. 2023, arXiv:2305.14314), without double
quantisation. Only `torch.nn.Linear` weights are rounded, and not the output head, as those libraries do by default.

Largest error of a weight: max |row| / 254 for 8 bits; for 4 bits half the widest gap between levels, .152 of max
|block|. Rounding twice is rounding once. Shapes: O outputs, I inputs, N blocks, K weights of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

Bits = Literal[8, 4]

UNROUNDED = ("lm_head",)
"""Endings of names of layers that stay as they are."""

BLOCK = 64

NF4_LEVELS = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)
"""The levels that QLoRA gives: quantiles of a normal distribution, both ends and zero exact."""


def rounded_int8(weight_OI: Tensor) -> Tensor:
    """The nearest weights that 8 bits a weight and one scale a row can hold, in the same dtype."""
    exact_OI = weight_OI.float()
    scale_O1 = exact_OI.abs().amax(dim=1, keepdim=True)
    safe_O1 = torch.where(scale_O1 > 0, scale_O1, 1.0)
    steps_OI = torch.round(exact_OI / safe_O1 * 127)
    return (steps_OI / 127 * scale_O1).to(weight_OI.dtype)


def rounded_nf4(weight_OI: Tensor, *, block: int = BLOCK) -> Tensor:
    """The nearest weights that NF4 with one scale a block can hold, in the same dtype; the last block may be shorter."""
    flat = weight_OI.float().flatten()
    missing = -len(flat) % block
    exact_NK = nn.functional.pad(flat, (0, missing)).view(-1, block)
    scale_N1 = exact_NK.abs().amax(dim=1, keepdim=True)
    safe_N1 = torch.where(scale_N1 > 0, scale_N1, 1.0)
    levels = torch.tensor(NF4_LEVELS, dtype=torch.float32, device=weight_OI.device)
    borders = (levels[1:] + levels[:-1]) / 2
    level_NK = levels[torch.bucketize(exact_NK / safe_N1, borders)]
    rounded = (level_NK * scale_N1).flatten()[: len(flat)]
    return rounded.view_as(weight_OI).to(weight_OI.dtype)


ROUNDED: Mapping[Bits, Callable[[Tensor], Tensor]] = {8: rounded_int8, 4: rounded_nf4}
