"""Predict for a concept what is predicted for its anchor: concept ablation.

    L = mean |e(x*, c) - e_0(x*, c*)|^2 + w_r mean |e(x_r, r) - e_0(x_r, r)|^2

x*: on the way to a picture of the anchor c*, which stands in the concept's place. Paper: Kumari et al., "Ablating Concepts
in Text-to-Image Diffusion Models", arXiv:2303.13516 (model-based). Defaults: w_r = 1, the weights of cross-attention.

Differs from the paper: c and c* are whole prompts, one with the concept and the same without it; the target is the frozen
denoiser's, where the paper takes the trained one's without a gradient; what is to be kept is prompts of other concepts,
where the paper keeps pictures of the anchor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from finetune.methods.hyper_parameters import Weight, check
from finetune.methods.image.losses import anchored_needs, distance, frozen, needed_pictures, needed_text, retain_terms
from finetune.methods.image.protocol import Denoiser, DenoisingBatch, Need, Term, Where


@dataclass(frozen=True, kw_only=True, slots=True)
class ConceptAblation:
    """`retain_weight` is w_r."""

    name: ClassVar[str] = "concept_ablation"
    paper: ClassVar[str] = "arXiv:2303.13516"
    rank: ClassVar[int | None] = None

    retain_weight: Weight = 1.0

    def __post_init__(self) -> None:
        check(self)

    @property
    def needs(self) -> frozenset[Need]:
        """The same prompts without the concept, and prompts to keep unless their weight is 0."""
        return anchored_needs(self.retain_weight)

    @property
    def where(self) -> Where:
        """The layers that read text."""
        return "text"

    def loss(self, batch: DenoisingBatch, model: Denoiser, reference: Denoiser) -> tuple[Term, ...]:
        """One term or two. Raises `InvalidData` where the batch lacks a part."""
        noisy = needed_pictures(batch.anchored, "pictures of the anchor", self.name)
        anchor = needed_text(noisy.anchor, "the prompt 'anchor'", self.name)
        target = frozen(reference, noisy, anchor)
        forget = Term(name="forget", value=distance(model(noisy.inputs, noisy.text), target))
        kept = retain_terms(batch, model, reference, weight=self.retain_weight, method=self.name)
        return (forget, *kept)
