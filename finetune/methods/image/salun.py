"""Train only the weights that matter for a concept to draw something else in its place: saliency unlearning.

    m   = 1 where |gradient of the concept's denoising loss at theta_0| is among the greatest `saliency_share`, else 0
    L   = mean |e(x, c) - e_0(x, c*)|^2 + w_r mean |e(x_r, r) - e_0(x_r, r)|^2,   trained in m theta only

Paper: Fan et al., "SalUn: Empowering Machine Unlearning via Gradient-based Weight Saliency in Both Image Classification and
Generation", arXiv:2310.12508. Defaults: the most salient half, w_r = 1, all weights.

Differs from the paper: c* is the same prompt without the concept, where the paper takes another class; saliency is that of
the distance between e(x, c) and e_0(x, c*), as there are no pictures to denoise; what is kept is what was predicted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from finetune.methods.hyper_parameters import Share, Weight, check
from finetune.methods.image.losses import anchored_needs, distance, frozen, needed_text, retain_terms
from finetune.methods.image.protocol import Denoiser, DenoisingBatch, Need, Term, Where


@dataclass(frozen=True, kw_only=True, slots=True)
class SalUn:
    """`saliency_share` of the weights are trained, `retain_weight` is w_r."""

    name: ClassVar[str] = "salun"
    paper: ClassVar[str] = "arXiv:2310.12508"
    rank: ClassVar[int | None] = None

    saliency_share: Share = 0.5
    retain_weight: Weight = 1.0

    def __post_init__(self) -> None:
        check(self)

    @property
    def needs(self) -> frozenset[Need]:
        """The same prompts without the concept, and prompts to keep unless their weight is 0."""
        return anchored_needs(self.retain_weight)

    @property
    def where(self) -> Where:
        """All weights, of which the salient ones are trained."""
        return "all"

    def saliency(self, batch: DenoisingBatch, model: Denoiser, reference: Denoiser) -> Tensor:
        """The first term."""
        noisy = batch.forget
        anchor = needed_text(noisy.anchor, "the prompt 'anchor'", self.name)
        return distance(model(noisy.inputs, noisy.text), frozen(reference, noisy, anchor))

    def loss(self, batch: DenoisingBatch, model: Denoiser, reference: Denoiser) -> tuple[Term, ...]:
        """One term or two. Raises `InvalidData` where the batch lacks a part."""
        forget = Term(name="forget", value=self.saliency(batch, model, reference))
        kept = retain_terms(batch, model, reference, weight=self.retain_weight, method=self.name)
        return (forget, *kept)
