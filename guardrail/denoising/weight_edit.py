"""The layers of a denoiser that read text, edited in closed form so that a concept's states give what its anchor's give.

For a layer W that reads the states h of the text encoders (Gandikota et al. 2023, UCE, arXiv:2308.14761, eq. 7)

    W' = argmin sum |W' h+ - W h-|^2 + sum |W' p - W p|^2 + l |W' - W|^2  =  W M,

with the M of `subspaces.closed_form_map`, which is the same for all layers that read the same states: keys and values of a
UNet's cross-attention, the context projection of a transformer (SD3, FLUX), and the first layer that reads the pooled
vector where there is one. The edit is there while a call draws and then the layers hold the very tensors that they held
before. It knows texts, not entries.

Shapes: D width of the states, P of the pooled vector, O of a layer's output.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from guardrail.denoising.subspaces import LowRankMap, closed_form_map
from retrieval.concept_states.interruption import look_up
from retrieval.concept_states.readers import readers
from retrieval.concept_states.samples import ConceptTexts, Samples, samples_of_pooled, samples_of_states
from retrieval.concept_states.text_states import encode
from retrieval.errors import UnfitPipeline

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class WeightEdit:
    """M - I of the states (D, D) and of the pooled vector (P, P); None where the pipeline has no such vector."""

    states: LowRankMap
    pooled: LowRankMap | None

    @property
    def size_bytes(self) -> int:
        """What its tensors hold."""
        maps = [self.states, *([self.pooled] if self.pooled is not None else [])]
        return sum(int(one.nbytes) for map_ in maps for one in (map_.left_DN, map_.right_DN) if one is not None)


def build_edit(pipeline: Any, texts: ConceptTexts, *, ridge: float = 1e-4) -> WeightEdit:
    """The edit of one concept; costs one pass of the text encoders over its texts."""
    count, states = len(texts.pairs), encode(pipeline, texts.listed)
    look_up()
    fitted = _fitted(samples_of_states(states, count), ridge)
    look_up()
    of_pooled = samples_of_pooled(states, count)
    return WeightEdit(states=fitted, pooled=None if of_pooled is None else _fitted(of_pooled, ridge))


def _fitted(learnt: Samples, ridge: float) -> LowRankMap:
    return closed_form_map(learnt.given_ND, learnt.wanted_ND, learnt.kept_MD, ridge=ridge).on("cpu")


@contextmanager
def edited(pipeline: Any, edit: WeightEdit, *, strength: float = 1.0) -> Iterator[None]:
    """With W + s W (M - I) in the place of every W that reads text; nobody else may draw meanwhile."""
    found = readers(pipeline)
    before = [one.weight.data for one in found]
    try:
        for one in found:
            change = edit.pooled if one.is_pooled else edit.states
            if change is not None:
                one.weight.data = _changed(one.weight.data, change, strength)
        yield
    finally:
        for one, weight_OI in zip(found, before, strict=True):
            one.weight.data = weight_OI


def _changed(weight_OI: torch.Tensor, change: LowRankMap, strength: float) -> torch.Tensor:
    map_ = change.on(str(weight_OI.device))
    width = len(map_.left_DN)
    if weight_OI.shape[1] < width:
        raise UnfitPipeline("a layer of this pipeline reads the text through another one; use prototype or rewrite")
    read_OD = weight_OI[:, :width].to(map_.left_DN)
    moved_OD = read_OD @ map_.left_DN if map_.right_DN is None else (read_OD @ map_.left_DN) @ map_.right_DN.T
    changed_OI = weight_OI.clone()
    changed_OI[:, :width] = (read_OD + strength * moved_OD).to(weight_OI)
    return changed_OI
