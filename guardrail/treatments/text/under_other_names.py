"""The plan of the treatments that ask about strangers: the request with invented names, turned back in what leaves.

Shared by `stand_in` and `another_name`, which differ by the key on which the names hang.
"""

from __future__ import annotations

from guardrail.decision import TreatmentPlan
from guardrail.treatments.names.strangers import about_strangers
from guardrail.treatments.text.protocol import TreatmentContext


def plan_under_other_names(treatment: str, context: TreatmentContext, *, key: bytes) -> TreatmentPlan | None:
    """The plan that is told as `treatment`; None where the request holds neither a name nor a clue to be replaced."""
    made = about_strangers(context.passages, context.decision.detections, key=key)
    if made is None:
        return None
    return TreatmentPlan(
        treatment=treatment,
        matched_passages=context.question.matched_passages,
        replacements=made.replacements,
        swaps=made.swaps,
        repair=context.repair,
    )
