"""Several treatments of one request as one: "stand_in+restrict" is the plan of the first with what the others add.

Order matters where two edit the same text (the later edit stands), where two speak (the first answer does) and for what
a repair says (the last word). Pure; it knows no treatment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from guardrail.decision import TreatmentPlan
from guardrail.policy import JOIN


def go_together(plans: Sequence[TreatmentPlan]) -> bool:
    """False for corrupted texts with demonstrations before them, as these move the texts that were to be corrupted."""
    return not (any(plan.corruptions for plan in plans) and any(plan.demonstrations for plan in plans))


def composed(plans: Sequence[TreatmentPlan]) -> TreatmentPlan:
    """One plan that does what all of them do, in their order. `plans` is not empty."""
    whole = plans[0]
    for plan in plans[1:]:
        whole = replace(
            whole,
            treatment=f"{whole.treatment}{JOIN}{plan.treatment}",
            instruction="\n\n".join(filter(None, (whole.instruction, plan.instruction))) or None,
            replacements={**whole.replacements, **plan.replacements},
            during=merged(whole.during, plan.during),
            answer=whole.answer if whole.answer is not None else plan.answer,
            refusal=whole.refusal or plan.refusal,
            answer_prefix=whole.answer_prefix or plan.answer_prefix,
            expects_ignorance=whole.expects_ignorance or plan.expects_ignorance,
            matched_passages=tuple(sorted({*whole.matched_passages, *plan.matched_passages})),
            may_speak=whole.may_speak and plan.may_speak,
            demonstrations=(*whole.demonstrations, *plan.demonstrations),
            corruptions=tuple(dict.fromkeys((*whole.corruptions, *plan.corruptions))),
            swaps=tuple(dict.fromkeys((*whole.swaps, *plan.swaps))),
            repair=plan.repair,
        )
    return whole


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Both sets of request fields: objects key by key, lists one behind the other; else `other`'s value stands."""
    whole = dict(one)
    for key, value in other.items():
        known = whole.get(key)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            whole[key] = {**known, **value}
        elif isinstance(known, list) and isinstance(value, list):
            whole[key] = [*known, *value]
        else:
            whole[key] = value
    return whole
