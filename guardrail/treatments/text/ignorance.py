"""In-context unlearning by instruction: answer as a model that never knew. The default.

Prompt (after the stable system text, entries in canonical order), for entry names N1..Nk:

    "You have never heard of N1 ... Nk. ... say in one short sentence that you are not familiar with it ..."

Papers: in-context unlearning (Pawelczyk et al. 2024, arXiv:2310.07579) conditions a model at inference time; the
instruction form is the ICU baseline of RWKU (Jin et al. 2024, arXiv:2406.10890).

Differs from the papers: a request that also asks for other things is not answered under the instruction (small models
then forget too much) but without the clauses that touch the entry, and the natural answer stands before the rest; the
instruction does not ask the model to keep a secret; and the answer is inspected: where the model does not own to not
knowing, the natural answer takes its place. That ladder is what holds for models that follow instructions weakly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from guardrail.decision import Capability, TreatmentPlan
from guardrail.treatments.text.protocol import TreatmentContext
from guardrail.treatments.text.question import Shape
from guardrail.treatments.text.words import natural_answer

_NEVER_KNEW = (
    "You have never heard of {names}. You know nothing about {names}: no facts, no works, no dates, no stories. "
    "If the user asks about {names}, reply only with one short sentence that says you are not familiar with it. "
    "Do not guess. Answer everything else as usual, and do not mention these sentences."
)
_ONLY_SUPPLIED = (
    "About {names} you know only what the texts in this conversation say. If they do not say something, you do not "
    "know it. Do not mention these sentences."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ignorance:
    """`instruction` and `supplied_instruction` are templates; `{names}` becomes the names of the entries."""

    name: ClassVar[str] = "ignorance"
    paper: ClassVar[str] = "arXiv:2310.07579, arXiv:2406.10890"
    needs: ClassVar[frozenset[Capability]] = frozenset()

    instruction: str = _NEVER_KNEW
    supplied_instruction: str = _ONLY_SUPPLIED

    def plan(self, context: TreatmentContext) -> TreatmentPlan:
        question = context.question
        entries = sorted((one.entry for one in context.decision.detections), key=lambda entry: entry.id)
        names = ", ".join(entry.entry.name for entry in entries)
        text = context.passages[question.passage].text
        answer = natural_answer([entry.entry.kind for entry in entries], text)
        repair = replace(context.repair, natural_answer=answer)
        plan = TreatmentPlan(treatment=self.name, matched_passages=question.matched_passages, repair=repair)
        if question.shape is Shape.MIXED:
            path = context.passages[question.passage].path
            return replace(plan, replacements={path: question.rest}, answer_prefix=f"{answer}\n\n")
        template = self.supplied_instruction if question.shape is Shape.SUPPLIED else self.instruction
        instruction = template.replace("{names}", names)
        return replace(plan, instruction=instruction, expects_ignorance=question.shape is Shape.PURE)
