"""Answer from the entry's substitute: what to say instead.

A request that asks for nothing else gets the substitute itself and the backend is not asked; in one that also asks for
other things the substitute stands before the answer to the rest. The idea of answering in scope from an explicit memory
is SERAC's (Mitchell et al. 2022, arXiv:2206.06520). Differs: the memory is the operator's text, not a model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from guardrail.decision import Capability, TreatmentPlan
from guardrail.treatments.text.protocol import TreatmentContext
from guardrail.treatments.text.question import Shape
from guardrail.treatments.words.natural_answers import natural_answer


@dataclass(frozen=True, kw_only=True, slots=True)
class Substitute:
    """No parameters: the words are the entry's `substitute`."""

    name: ClassVar[str] = "substitute"
    paper: ClassVar[str] = "arXiv:2206.06520"
    needs: ClassVar[frozenset[Capability]] = frozenset()

    def plan(self, context: TreatmentContext) -> TreatmentPlan:
        question = context.question
        entries = sorted((one.entry for one in context.decision.detections), key=lambda entry: entry.id)
        text = context.asked
        words = [entry.entry.substitute or natural_answer([entry.entry.kind], text) for entry in entries]
        answer = " ".join(dict.fromkeys(words))
        repair = replace(context.repair, natural_answer=answer)
        plan = TreatmentPlan(treatment=self.name, matched_passages=question.matched_passages, repair=repair)
        if question.shape is Shape.PURE:
            return replace(plan, answer=answer)
        if question.shape is Shape.MIXED:
            return replace(plan, replacements=question.replacements, answer_prefix=f"{answer}\n\n")
        return plan
