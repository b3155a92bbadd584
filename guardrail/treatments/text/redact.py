"""Redaction: the request goes through, and every name, alias and fact of the entry is replaced in the answer.

Spans that the caller hands in are replaced in the request too where the entry's `supplied_context` is `redact`. Source:
output filtering as in Thaker et al. 2024 (arXiv:2403.03329).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from guardrail.decision import Capability, OnLeak, TreatmentPlan
from guardrail.treatments.text.protocol import TreatmentContext


@dataclass(frozen=True, kw_only=True, slots=True)
class Redact:
    """`redaction` is what stands in place of a span."""

    name: ClassVar[str] = "redact"
    paper: ClassVar[str] = "arXiv:2403.03329"
    needs: ClassVar[frozenset[Capability]] = frozenset()

    redaction: str = "[...]"

    def plan(self, context: TreatmentContext) -> TreatmentPlan:
        repair = replace(context.repair, on_leak=OnLeak.REDACT, redaction=self.redaction)
        return TreatmentPlan(
            treatment=self.name,
            matched_passages=context.question.matched_passages,
            may_speak=True,
            repair=repair,
        )
