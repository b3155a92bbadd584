"""What a concept is learnt from: texts with it and the same without it, and their states, position by position.

Pairs of whole texts, as what stands behind a concept's word holds the concept, too. It knows no entry, and nothing of what
is made of the samples.

Shapes: N samples with the concept, M to keep, T positions, D width, P width of the pooled vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrieval.concept_states.counterparts import counterparts, gathered, pads
from retrieval.concept_states.text_states import TextStates

if TYPE_CHECKING:
    import torch

_LEAST_MOVE = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class ConceptTexts:
    """`pairs`: a text with the concept, and the same without it; `kept`: texts that must stay as they are."""

    pairs: tuple[tuple[str, str], ...]
    kept: tuple[str, ...] = ()

    @property
    def listed(self) -> list[str]:
        """All texts with the concept, then those without it, then those to keep."""
        return [*(one for one, _ in self.pairs), *(other for _, other in self.pairs), *self.kept]


@dataclass(frozen=True, kw_only=True)
class Samples:
    """States with the concept, what answers each of them, and states to keep."""

    given_ND: torch.Tensor
    wanted_ND: torch.Tensor
    kept_MD: torch.Tensor

    @property
    def moved(self) -> Samples:
        """Without those that the concept does not change."""
        is_moved = (self.given_ND - self.wanted_ND).norm(dim=1) > _LEAST_MOVE
        return Samples(given_ND=self.given_ND[is_moved], wanted_ND=self.wanted_ND[is_moved], kept_MD=self.kept_MD)


def samples_of_states(states: TextStates, count: int) -> Samples:
    """What was moved in all segments together, as a layer does not know which of them it reads; kept ones once each."""
    return _together([samples(states, segment, count) for segment in range(len(states.segments))])


def samples_of_pooled(states: TextStates, count: int) -> Samples | None:
    """The same of the pooled vector; None where a pipeline has none."""
    return None if states.pooled_NP is None else _together([samples(states, None, count)])


def _together(parts: Sequence[Samples]) -> Samples:
    import torch

    moved = [one.moved for one in parts]
    return Samples(
        given_ND=torch.cat([one.given_ND for one in moved]),
        wanted_ND=torch.cat([one.wanted_ND for one in moved]),
        kept_MD=distinct(torch.cat([one.kept_MD for one in parts])),
    )


def samples(states: TextStates, segment: int | None, count: int) -> Samples:
    """The samples of one segment, or of the pooled vector (None). `states`: of `ConceptTexts.listed` with `count` pairs."""
    import torch

    given_ND, wanted_ND, same_MD = _paired(states, segment, count)
    kept = [states_of(states, segment, index) for index in range(2 * count, len(states.tokens_NTD))]
    return Samples(given_ND=given_ND, wanted_ND=wanted_ND, kept_MD=torch.cat([same_MD, wanted_ND, *kept]))


def _paired(states: TextStates, segment: int | None, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """States with the concept, what answers each, and those that are the same in both."""
    import torch

    if segment is None:
        pooled_NP = pooled(states)
        return pooled_NP[:count], pooled_NP[count : 2 * count], pooled_NP[:0]
    part, ids = states.segments[segment], states.ids[segment]
    given, wanted, same = list[torch.Tensor](), list[torch.Tensor](), list[torch.Tensor]()
    for index in range(count):
        pair = counterparts(ids[index], ids[count + index], part.length)
        one_TD = states.tokens_NTD[index, part.positions].float()
        other_TD = states.tokens_NTD[count + index, part.positions].float()
        given.append(one_TD[list(pair.given)])
        wanted.append(gathered(other_TD, pair.wanted))
        same.append(other_TD[list(pair.same)])
    return torch.cat(given), torch.cat(wanted), torch.cat(same)


def states_of(states: TextStates, segment: int | None, index: int) -> torch.Tensor:
    """A text's own states, with some of its pads; its pooled vector (1, P) without a segment."""
    if segment is None:
        return pooled(states)[index : index + 1]
    part = states.segments[segment]
    states_TD, real = states.tokens_NTD[index, part.positions], len(states.ids[segment][index])
    return states_TD[[*range(real), *pads(real, part.length)]].float()


def pooled(states: TextStates) -> torch.Tensor:
    """The texts' pooled vectors (N, P)."""
    if states.pooled_NP is None:
        raise ValueError("this pipeline has no pooled text vector")
    return states.pooled_NP.float()


def distinct(rows_MD: torch.Tensor) -> torch.Tensor:
    """Without repeated rows: the first token is the same in every text and must not outweigh the others."""
    import torch

    unique: Any = torch.unique
    distinct_MD: torch.Tensor = unique(rows_MD, dim=0)
    return distinct_MD
