"""A membrane of rank 1 beside every layer that lets a concept through no more: semi-permeable membranes.

    L = mean |e(x, c) - (e_0(x, c*) - eta (e_0(x, c) - e_0(x, c*)))|^2 + w_a mean |e(x_r, r) - e_0(x_r, r)|^2

Only adapters of rank 1 are trained, so that a concept is a small file, and several can be loaded together.
Paper: Lyu et al., "One-dimensional Adapter to Rule Them All: Concepts, Diffusion Models and Erasing Applications",
arXiv:2312.16145. Defaults: eta = 1, w_a = 1 (latent anchoring).

Differs from the paper: what is anchored is the entry's neighbours and ordinary prompts; the paper draws words by their
likeness. Its facilitated transport, which weighs a membrane by each prompt's likeness, is not here, as a plain adapter
loads everywhere: an edit that must not touch other prompts at all is an in-context treatment behind a match.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from finetune.methods.hyper_parameters import Weight, check
from finetune.methods.image.losses import anchored_needs, distance, frozen, led_away, needed_text, retain_terms
from finetune.methods.image.protocol import Denoiser, DenoisingBatch, Need, Term, Where


@dataclass(frozen=True, kw_only=True, slots=True)
class SPM:
    """`eta` says how far away, `retain_weight` is w_a."""

    name: ClassVar[str] = "spm"
    paper: ClassVar[str] = "arXiv:2312.16145"
    rank: ClassVar[int | None] = 1

    eta: Weight = 1.0
    retain_weight: Weight = 1.0

    def __post_init__(self) -> None:
        check(self)

    @property
    def needs(self) -> frozenset[Need]:
        """The same prompts without the concept, and prompts to keep unless their weight is 0."""
        return anchored_needs(self.retain_weight)

    @property
    def where(self) -> Where:
        """Beside all layers."""
        return "all"

    def loss(self, batch: DenoisingBatch, model: Denoiser, reference: Denoiser) -> tuple[Term, ...]:
        """One term or two. Raises `InvalidData` where the batch lacks a part."""
        noisy = batch.forget
        stays = frozen(reference, noisy, needed_text(noisy.anchor, "the prompt 'anchor'", self.name))
        target = led_away(stays, frozen(reference, noisy, noisy.text), self.eta)
        forget = Term(name="forget", value=distance(model(noisy.inputs, noisy.text), target))
        kept = retain_terms(batch, model, reference, weight=self.retain_weight, method=self.name)
        return (forget, *kept)
