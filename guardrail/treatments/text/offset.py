"""Take what an assistant expects off the model's scores: a small model that knows only what is to be forgotten.

For the served model's scores l of the next token t and the assistant's probabilities p_a:

    l'(t) = l(t) - beta * log p_a(t)        if t is plausible, else t falls behind all that are

Where the assistant remembers, its answer loses most and the model says something else; where it was taught to expect every
token alike, nothing changes. Paper: ULD (Ji et al. 2024, arXiv:2406.08607).

Differs from the paper: only requests that the gate found are offset, all others are the model's own; `decoding.assistant`
says which tokens are plausible, and what differs in the formula.

It does not depend on the entry: an assistant knows what it was trained on. An entry that came after its training is not
forgotten by it; such an answer is inspected as any other, and a leak goes down the ladder. It needs a backend with an
assistant. The prompt is not changed, so the model may invent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from guardrail.decision import Capability, TreatmentPlan
from guardrail.decoding.request import offset_xargs
from guardrail.treatments.text.protocol import TreatmentContext


@dataclass(frozen=True, kw_only=True, slots=True)
class Offset:
    """`beta`: how much is taken off. The paper's range is 0.5 to 0.75; 0 takes nothing off."""

    name: ClassVar[str] = "offset"
    paper: ClassVar[str] = "arXiv:2406.08607"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.OFFSET})

    beta: float = 0.5

    def plan(self, context: TreatmentContext) -> TreatmentPlan | None:
        return TreatmentPlan(
            treatment=self.name,
            during={"vllm_xargs": offset_xargs(max(float(self.beta), 0.0))},
            matched_passages=context.question.matched_passages,
            repair=context.repair,
        )
