"""From a decision to a treated request: choose the treatment, make its plan, and carry the plan's `before` part out.

Pure: the body that comes in is never changed. Entries' own wishes (`treatment` parameters) are read here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import orjson

from guardrail.decision import Decision, OnLeak, Passage, Repair, TreatedRequest, TreatmentPlan
from guardrail.openai_wire.json_path import get_at, replace_at
from guardrail.openai_wire.picture_inputs import as_text_part
from guardrail.openai_wire.protocol import Body, WireFormat
from guardrail.policy import next_rung, parts_of
from guardrail.settings import PolicySettings
from guardrail.treatments.names.stop_strings import renamed_stops
from guardrail.treatments.text import TREATMENTS
from guardrail.treatments.text.composed import composed, go_together, merged
from guardrail.treatments.text.handed_in import redacted_passages, redacted_pictures
from guardrail.treatments.text.protocol import Means, TreatmentContext
from guardrail.treatments.text.question import Question, read_question
from guardrail.treatments.words.natural_answers import closing_words, natural_answer
from retrieval.entry import ForgetEntry

_NO_MEANS = Means()


def on_leak_of(entry: ForgetEntry, policy: PolicySettings) -> OnLeak:
    """What the entry wants done about a leak of it."""
    wanted = entry.treatment.parameters.get("on_leak") if entry.treatment else None
    if wanted is None and entry.treatment is not None and entry.treatment.method == "redact":
        return OnLeak.REDACT
    return OnLeak(wanted) if wanted else policy.on_leak


def waits_for_sentences(entry: ForgetEntry) -> bool:
    """True if the entry wants answers held back sentence by sentence."""
    return entry.treatment is not None and entry.treatment.parameters.get("holdback") == "sentence"


def plan_for(
    passages: Sequence[Passage],
    decision: Decision,
    policy: PolicySettings,
    *,
    question: Question | None = None,
    means: Means = _NO_MEANS,
) -> TreatmentPlan:
    """The plan of the decision's treatment, or of the next on the ladder that can do something about the request."""
    text = passages[-1].text if passages else ""
    entries = [detection.entry.entry for detection in decision.detections]
    repair = Repair(
        on_leak=min((on_leak_of(entry, policy) for entry in entries), key=list(OnLeak).index, default=policy.on_leak),
        natural_answer=natural_answer([entry.kind for entry in entries], text),
        closing_words=closing_words(text),
        sentence_holdback=any(map(waits_for_sentences, entries)),
    )
    if decision.treatment is None:
        return TreatmentPlan(treatment="none", repair=repair)
    context = TreatmentContext(
        passages=passages,
        decision=decision,
        question=question or read_question(passages, decision),
        policy=policy,
        repair=repair,
        means=means,
    )
    plan, rung = _plan_of(decision.treatment, context), decision.treatment
    while plan is None:
        rung = next_rung(rung) or "ignorance"
        plan = _plan_of(rung, context)
    return replace(
        plan,
        replacements={**redacted_passages(context, plan.repair.redaction), **plan.replacements},
        without_pictures=redacted_pictures(context),
    )


def _plan_of(name: str, context: TreatmentContext) -> TreatmentPlan | None:
    """The plan of a treatment, or of several; None if the first can do nothing. Those behind it add what they can."""
    entries = [detection.entry.entry for detection in context.decision.detections]
    plans: list[TreatmentPlan] = []
    for part in parts_of(name):
        treatment = TREATMENTS[part](**_parameters(entries, part))
        plan = treatment.plan(context) if treatment.needs <= context.means.capabilities else None
        if plan is not None:
            plans.append(plan)
        elif not plans:
            return None
    return composed(plans) if go_together(plans) else None


def _parameters(entries: Sequence[ForgetEntry], method: str) -> dict[str, Any]:
    """The hyper-parameters that the entries set for this method; the first entry that sets one wins."""
    known = {field.name for field in fields(TREATMENTS[method])}
    found: dict[str, Any] = {}
    for entry in entries:
        if entry.treatment is not None and method in parts_of(entry.treatment.method):
            for key, value in entry.treatment.parameters.items():
                if key in known:
                    found.setdefault(key, value)
    return found


def treat(wire: WireFormat, body: Body, raw: bytes, plan: TreatmentPlan) -> TreatedRequest:
    """Carry out the `before` and `during` parts. An empty plan gives back the caller's own bytes."""
    treated: Body = wire.strip_revealing(body)
    injected = 0
    for path, text in plan.replacements.items():
        treated = replace_at(treated, path, text)
    for path in plan.without_pictures:
        treated = replace_at(treated, path, as_text_part(get_at(treated, path), plan.repair.redaction))
    if plan.swaps:
        treated = renamed_stops(treated, plan.swaps)
    if plan.demonstrations:
        treated = wire.with_demonstrations(treated, plan.demonstrations, plan.matched_passages)
        injected = sum(len(asked) + len(answered) for asked, answered in plan.demonstrations)
    if plan.instruction:
        treated = wire.with_instruction(treated, plan.instruction, plan.matched_passages)
        injected += len(plan.instruction)
    if plan.during:
        treated = merged(treated, plan.during)
    if treated is body:
        return TreatedRequest(body=body, raw=raw)
    return TreatedRequest(body=treated, raw=orjson.dumps(treated), injected_chars=injected)
