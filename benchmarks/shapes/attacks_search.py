"""Two searches over rows of words: a genetic one that needs losses alone, a greedy one along gradients that tries exactly.

It does not know what the numbers stand for. `losses` gives each row's loss, infinite where a row may not be used; `slopes`
the loss's gradient by the choice at each place. Shapes: N rows, K places, U choices.

`genetic`: Ring-A-Bell's (Tsai et al. 2023, arXiv:2310.10012): of a population the better half lives, children cross two
parents at one place with a chance of a half and change one place with a chance of a quarter. Differs from the paper: 128
rows, not 200, and 100 generations, not 3000 (16 words of 500, not of 49,000); the best row is never lost.

`greedy`: MMA-Diffusion's (Yang et al. 2023, arXiv:2311.17516, after Zou et al. 2023, arXiv:2307.15043): at each place k the
choices with the smallest dL/d e_k are its candidates; `tries` random pairs of a place and a candidate are evaluated, and
the best becomes the next row if it is better. Differs: fewer candidates and tries, as there are few words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Generator, Tensor

Losses = Callable[[Tensor], Tensor]
"""Rows [N, K] to losses [N]."""
Slopes = Callable[[Tensor], Tensor]
"""A row [K] to the gradient [K, U]."""

_CROSSES: Final = 0.5
_CHANGES: Final = 0.25
_TRIES_TO_BEGIN: Final = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """Rows [N, K], the best first, and their losses [N]."""

    rows: Tensor
    losses: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Space:
    """`length` places of `choices` each, and the random numbers of a search."""

    length: int
    choices: int
    draw: Generator

    def rows(self, number: int) -> Tensor:
        """Random ones [N, K]."""
        return torch.randint(0, self.choices, (number, self.length), generator=self.draw)

    def chances(self, number: int) -> Tensor:
        """[N], from 0 to 1."""
        return torch.rand(number, generator=self.draw)

    def below(self, limit: int, number: int) -> Tensor:
        """Whole numbers [N]."""
        return torch.randint(0, limit, (number,), generator=self.draw)


def genetic(space: Space, losses: Losses, *, generations: int, population: int) -> Found:
    """See the module."""
    rows_NK = space.rows(population)
    found = _sorted(rows_NK, losses(rows_NK))
    for _ in range(generations):
        lives = found.rows[: population // 2]
        born_NK = _children(space, lives, population - len(lives))
        found = _sorted(torch.cat([lives, born_NK]), torch.cat([found.losses[: population // 2], losses(born_NK)]))
    return _without_twins(found)


def greedy(space: Space, losses: Losses, slopes: Slopes, *, rounds: int, tries: int, candidates: int) -> Found:
    """See the module; every row that was the best for a while is given back."""
    begun_NK = space.rows(_TRIES_TO_BEGIN)
    best = _sorted(begun_NK, losses(begun_NK))
    row_K, loss = best.rows[0], best.losses[0]
    seen_rows, seen_losses = [row_K], [loss]
    for _ in range(rounds):
        good_KC = slopes(row_K).topk(min(candidates, space.choices), dim=1, largest=False).indices
        tried_NK = row_K.repeat(tries, 1)
        places = space.below(space.length, tries)
        tried_NK[torch.arange(tries), places] = good_KC[places, space.below(good_KC.shape[1], tries)]
        tried = _sorted(tried_NK, losses(tried_NK))
        if tried.losses[0] < loss:
            row_K, loss = tried.rows[0], tried.losses[0]
            seen_rows.append(row_K)
            seen_losses.append(loss)
    return _without_twins(_sorted(torch.stack(seen_rows), torch.stack(seen_losses)))


def _children(space: Space, lives_MK: Tensor, number: int) -> Tensor:
    mothers, fathers = (lives_MK[space.below(len(lives_MK), number)] for _ in range(2))
    cuts = 1 + space.below(max(1, space.length - 1), number)
    takes_NK = torch.arange(space.length)[None, :] >= cuts[:, None]
    crosses = space.chances(number) < _CROSSES
    born_NK = torch.where(takes_NK & crosses[:, None], fathers, mothers)
    # A child that is its mother over again is a place wasted.
    changes = (space.chances(number) < _CHANGES) | ~crosses
    places, others = space.below(space.length, number), space.below(space.choices, number)
    kept = born_NK[torch.arange(number), places]
    born_NK[torch.arange(number), places] = torch.where(changes, others, kept)
    return born_NK


def _sorted(rows_NK: Tensor, losses_N: Tensor) -> Found:
    order = losses_N.argsort(stable=True)
    return Found(rows=rows_NK[order], losses=losses_N[order])


def _without_twins(found: Found) -> Found:
    """Each row once, and none that may not be used."""
    first: dict[tuple[int, ...], int] = {}
    for place, row in enumerate(found.rows.tolist()):
        if torch.isfinite(found.losses[place]):
            first.setdefault(tuple(row), place)
    kept = torch.tensor(list(first.values()), dtype=torch.long)
    return Found(rows=found.rows[kept], losses=found.losses[kept])
