"""The mathematics that methods for diffusion models share: distances of predictions, targets led away, linear maps.

Shapes: N states or pictures, M states to keep, D width of text states.
"""

from __future__ import annotations

import torch
from torch import Tensor

from finetune.errors import InvalidData
from finetune.methods.image.protocol import ConceptStates, Denoiser, DenoisingBatch, Need, Noisy, Term, Text


def distance(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference; the target has no gradient."""
    return (predicted.float() - target.detach().float()).square().mean()


def frozen(reference: Denoiser, noisy: Noisy, text: Text) -> Tensor:
    """What the reference predicts, without gradients."""
    with torch.no_grad():
        return reference(noisy.inputs, text)


def led_away(base: Tensor, concept: Tensor, strength: float) -> Tensor:
    """base - strength (concept - base): as far on the other side of `base`."""
    return base - strength * (concept - base)


def anchored_needs(retain_weight: float) -> frozenset[Need]:
    """Of a method with an anchor and `retain_terms`: prompts to keep unless their weight is 0."""
    return frozenset({Need.ANCHOR} | ({Need.RETAIN} if retain_weight > 0 else set()))


def retain_terms(
    batch: DenoisingBatch, model: Denoiser, reference: Denoiser, *, weight: float, method: str
) -> tuple[Term, ...]:
    """w mean |e(x_r, r) - e_0(x_r, r)|^2 on pictures to keep; nothing at weight 0. Raises `InvalidData` without them."""
    if weight == 0:
        return ()
    kept = needed_pictures(batch.retain, "pictures to keep", method)
    value = distance(model(kept.inputs, kept.text), frozen(reference, kept, kept.text))
    return (Term(name="retain", value=value, weight=weight),)


def needed_text(text: Text | None, what: str, method: str) -> Text:
    """Raises `InvalidData` where a batch lacks it."""
    if text is None:
        raise InvalidData(f"{method} needs {what} for every picture, and the batch has none. Give it.")
    return text


def needed_pictures(noisy: Noisy | None, what: str, method: str) -> Noisy:
    """Raises `InvalidData` where a batch lacks them."""
    if noisy is None:
        raise InvalidData(f"{method} needs {what}, and the batch has none. Give prompts for them.")
    return noisy


def map_change(states: ConceptStates, *, ridge: float) -> Tensor:
    """M - I (D, D) for the linear map M with M c = c* for given states and M p = p for kept ones, as near as it goes:

        M - I = (C* - C)^T C (C^T C + P^T P + l I)^-1,   l = ridge x mean |x|^2 over all states

    with states as rows; it minimises sum |M c - c*|^2 + sum |M p - p|^2 + l |M - I|^2. In double precision.
    """
    given, wanted, kept = states.given_ND.double(), states.wanted_ND.double(), states.kept_MD.double()
    both = torch.cat([given, kept])
    gram = both.T @ both
    gram.diagonal().add_(max(ridge * float(both.square().sum(dim=1).mean()), 1e-12))
    change: Tensor = torch.linalg.solve(gram, given.T @ (wanted - given)).T
    return change
