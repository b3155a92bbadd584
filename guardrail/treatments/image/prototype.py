"""Take the concept out of what the text encoders made of the prompt, at all positions, by a bank of contextual prototypes.

A diffusion model reads the prompt's states h_1..h_T. The concept is not only in the states of its own word: what comes
behind it, the end token and the pads hold it too. So the bank is learnt from pairs of whole prompts, with the concept and
with its anchor in its place, position by position (`denoising.concept_bank`), and the treated states are

    h' = h + s (M - I) h,   M = argmin sum |M h+ - h-|^2 + sum |M p - p|^2 + l |M - I|^2

over the pairs' states h+, h- and kept states p. Cross-attention reads W h, so that W M h is what the closed-form edit of
all its weights would give (Gandikota et al. 2023, arXiv:2308.14761, eq. 7, with v* = W h-): the same forgetting without a
weight touched, for one request. The other way, `project`, is h' = h - s V V^T (h - mu), V the leading directions of h+ - h-
with what neighbours differ in taken out (as Wang et al. 2024, arXiv:2412.06143, do with values).

Names that stand in the prompt give way to the anchor before it is encoded. Where no name stands there, but a synonym, a
description or token soup, a gate on the states decides: the cosine of h - mu with the prototype, as a share of the way
between ordinary texts and texts with the concept. Below the gate the call is left exactly as it was.

Differs from the papers: states instead of weights or values, pairs of contexts instead of bare words, a gate. It works on
distilled models too. One pass of the text encoders more, and a few matrix products.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from guardrail.decision import Capability
from guardrail.denoising.bank_cache import bank_for
from guardrail.denoising.concept_bank import ConceptBank, ConceptTexts, How
from guardrail.denoising.text_states import states_of_call
from guardrail.pictures import Concept, PicturePlan, PictureRequest
from guardrail.treatments.image.anchors import anchor_of, answered, texts_of
from guardrail.treatments.image.protocol import entry_ids
from guardrail.treatments.image.wording import spans_of


@dataclass(frozen=True, kw_only=True, slots=True)
class PrototypeBank:
    """`strength`: s. `gate`: presence from which a concept without a name in the prompt is taken out; 0 always. `ridge`: l,
    as a share of the states' mean square. `rank`: of V. `has_words`: names give way to the anchor before."""

    name: ClassVar[str] = "prototype"
    paper: ClassVar[str] = "arXiv:2308.14761, arXiv:2412.06143"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.STEERING})

    strength: float = 1.0
    gate: float = 0.3
    how: How = "map"
    ridge: float = 1e-4
    rank: int = 4
    has_words: bool = True

    def plan(self, request: PictureRequest, concepts: Sequence[Concept]) -> PicturePlan:
        anchors = {one.entry.id: anchor_of(one, concepts, turn=request.prompt) for one in concepts}
        banked = tuple(self._banked(request, one, anchors[one.entry.id]) for one in concepts)
        prompt = answered(request.prompt, concepts, anchors) if self.has_words else request.prompt
        steering = PrototypeSteering(
            concepts=banked, strength=self.strength, gate=self.gate, how=self.how, ridge=self.ridge, rank=self.rank
        )
        return PicturePlan(
            treatment=self.name,
            prompt=prompt if prompt != request.prompt else None,
            steering=steering,
            entry_ids=entry_ids(concepts),
        )

    def _banked(self, request: PictureRequest, concept: Concept, anchor: str | None) -> Banked:
        return Banked(texts=texts_of(concept, anchor), is_named=bool(spans_of(request.prompt, concept)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Banked:
    """The texts that tell of a concept, and whether it was named in the caller's prompt."""

    texts: ConceptTexts
    is_named: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class PrototypeSteering:
    """The treatment of one request's states."""

    concepts: tuple[Banked, ...]
    strength: float
    gate: float
    how: How
    ridge: float
    rank: int
    name: str = "prototype"

    def banks(self, pipeline: Any) -> list[ConceptBank]:
        """The concepts' banks in this pipeline; asked at registration, the first request need not wait for them."""
        return [bank_for(pipeline, one.texts, rank=self.rank, ridge=self.ridge) for one in self.concepts]

    @contextmanager
    def attached(self, pipeline: Any, arguments: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        states, is_changed = states_of_call(pipeline, arguments), False
        for concept, bank in zip(self.concepts, self.banks(pipeline), strict=True):
            if concept.is_named or bank.presence(states) >= self.gate:
                states = bank.treated(states, strength=self.strength, how=self.how)
                is_changed = True
        yield states.arguments(arguments) if is_changed else arguments
