"""Open refusal: the request is refused and the backend is not asked.

Source: the refusal baseline of guardrail studies (Thaker et al. 2024, arXiv:2403.03329). Differs: the form on the wire
(message, text or error) is the operator's choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from guardrail.decision import Capability, RefusalStyle, TreatmentPlan
from guardrail.treatments.text.protocol import TreatmentContext


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """`style` and `text` default to the policy's."""

    name: ClassVar[str] = "refusal"
    paper: ClassVar[str] = "arXiv:2403.03329"
    needs: ClassVar[frozenset[Capability]] = frozenset()

    style: str | None = None
    text: str | None = None

    def plan(self, context: TreatmentContext) -> TreatmentPlan:
        style = RefusalStyle(self.style) if self.style else context.policy.refusal_style
        text = self.text or context.policy.refusal_text
        return TreatmentPlan(treatment=self.name, answer=text, refusal=style, repair=context.repair)
