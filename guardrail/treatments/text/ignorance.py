"""In-context unlearning by instruction: answer as a model that never knew. The default.

Prompt, at the end of the last user turn, for entry names N1..Nk in canonical order (by entry id):

    If you don't know, say "I'm not familiar with that." You don't know N1, N2 ... Nk.

in the language of the request (sixteen; English for the rest).

Papers: in-context unlearning (Pawelczyk et al. 2024, arXiv:2310.07579) conditions a model at inference time; the
instruction form is the ICU baseline of RWKU (Jin et al. 2024, arXiv:2406.10890).

Differs from the papers: the instruction stands in the user's turn, not in the system text (a 135M model then admits not
knowing to 7 of 9 questions instead of 0 of 9, and a changed system text would disturb neighbours); a request that also
asks for other things is not answered under the instruction but without the clauses that touch the entry, and the
natural answer stands before the rest; and the answer is inspected: where the model does not own to not knowing, the
natural answer takes its place. That ladder is what holds for models that follow instructions weakly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from guardrail.decision import Capability, TreatmentPlan
from guardrail.treatments.text.protocol import TreatmentContext
from guardrail.treatments.text.question import Shape
from guardrail.treatments.words.natural_answers import instruction_words, natural_answer

_ONLY_SUPPLIED = (
    "About {names} you know only what the text above says. If it does not say something, you don't know it."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ignorance:
    """`instruction` and `supplied_instruction` are templates; `{names}` becomes the names of the entries. Without an
    `instruction` of the entry, the words above are used in the request's language."""

    name: ClassVar[str] = "ignorance"
    paper: ClassVar[str] = "arXiv:2310.07579, arXiv:2406.10890"
    needs: ClassVar[frozenset[Capability]] = frozenset()

    instruction: str = ""
    supplied_instruction: str = _ONLY_SUPPLIED

    def plan(self, context: TreatmentContext) -> TreatmentPlan:
        question = context.question
        entries = sorted((one.entry for one in context.decision.detections), key=lambda entry: entry.id)
        names = ", ".join(entry.entry.name for entry in entries)
        text = context.asked
        answer = natural_answer([entry.entry.kind for entry in entries], text)
        repair = replace(context.repair, natural_answer=answer)
        plan = TreatmentPlan(treatment=self.name, matched_passages=question.matched_passages, repair=repair)
        if question.shape is Shape.MIXED:
            return replace(plan, replacements=question.replacements, answer_prefix=f"{answer}\n\n")
        own = self.instruction or instruction_words(text)
        template = self.supplied_instruction if question.shape is Shape.SUPPLIED else own
        instruction = template.replace("{names}", names)
        if question.shape is not Shape.PURE:
            return replace(plan, instruction=instruction)
        # An answer that is cut behind "I'm not familiar with that." needs no closing words.
        repair = replace(repair, closing_words="")
        return replace(plan, instruction=instruction, expects_ignorance=True, repair=repair)
