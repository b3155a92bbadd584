"""An edit in closed form, computed on a pipeline: states of its texts, and the difference for every layer that reads them.

All layers that read the same states get their difference by one call of the method. It does not know files or entries.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from finetune.methods.image.protocol import ConceptStates, TextEdit
from retrieval.concept_states.readers import Reader, readers
from retrieval.concept_states.samples import ConceptTexts, Samples, samples_of_pooled, samples_of_states
from retrieval.concept_states.text_states import encode


def edit_deltas(pipeline: Any, texts: ConceptTexts, method: TextEdit) -> dict[str, Tensor]:
    """Differences by name of the weight in the denoiser, in its memory. Raises `UnfitPipeline` where none can be edited."""
    found, count = readers(pipeline), len(texts.pairs)
    states = encode(pipeline, texts.listed)
    deltas = _of(method, [one for one in found if not one.is_pooled], samples_of_states(states, count))
    of_pooled = samples_of_pooled(states, count)
    if of_pooled is not None:
        deltas |= _of(method, [one for one in found if one.is_pooled], of_pooled)
    return deltas


def _of(method: TextEdit, layers: list[Reader], learnt: Samples) -> dict[str, Tensor]:
    """Of layers that read more than the states only the first columns, which read these, are edited."""
    states = ConceptStates(given_ND=learnt.given_ND, wanted_ND=learnt.wanted_ND, kept_MD=learnt.kept_MD)
    width = states.given_ND.shape[1]
    read = {one.name: one.weight.detach()[:, :width] for one in layers}
    found: dict[str, Tensor] = {one.name: torch.zeros_like(one.weight) for one in layers}
    for name, delta in method.deltas(read, states).items():
        found[name][:, :width] = delta
    return found
