"""What is done about a decided request, and what next if it leaks: the plans of the flow, one rung of the ladder at a time.

It knows the treatments, the policy's ladder and what the backend can do; it sends nothing and inspects nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from guardrail.backends.router import Route
from guardrail.decision import (
    Action,
    Admits,
    Capability,
    Decision,
    Detection,
    Leak,
    Passage,
    TreatedRequest,
    TreatmentPlan,
)
from guardrail.forward import Request
from guardrail.policy import next_rung, strictest, treatment_of
from guardrail.settings import PolicySettings
from guardrail.treatments.embeds_in import Corrupt, corrupt_parts
from guardrail.treatments.text.apply import plan_for, treat
from guardrail.treatments.text.protocol import Means
from guardrail.treatments.text.question import Question, Shape


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    """A request with what was found in it and what is to be done."""

    passages: Sequence[Passage]
    decision: Decision
    question: Question
    admits: Admits
    took_ms: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Planner:
    """`naming_key`: the secret on which invented names hang. `corrupt_of`: backend name -> what makes corrupted prompts;
    filled as backends start."""

    policy: PolicySettings
    naming_key: bytes = b""
    corrupt_of: Mapping[str, Corrupt] = field(default_factory=dict)

    def plan(self, decided: Decided, route: Route | None = None) -> TreatmentPlan:
        """The plan for a request; without a route for a backend that can do nothing."""
        capabilities = route.backend.capabilities if route is not None else frozenset()
        if route is not None and route.backend.name in self.corrupt_of:
            capabilities |= {Capability.PROMPT_EMBEDS}
        means = Means(capabilities=capabilities, naming_key=self.naming_key)
        return plan_for(decided.passages, decided.decision, self.policy, question=decided.question, means=means)

    async def treated(self, request: Request, route: Route, plan: TreatmentPlan) -> TreatedRequest:
        """The request as the plan wants it sent."""
        treated = treat(request.wire, request.body, request.raw, plan)
        if not plan.corruptions:
            return treated
        return await asyncio.to_thread(corrupt_parts, treated, plan, self.corrupt_of[route.backend.name])

    def stricter(self, decided: Decided, plan: TreatmentPlan, leaks: Sequence[Leak]) -> Decided:
        """What is decided after a leak: the next treatment on the ladder; for entries that leaked without having been
        met, as if they had been asked for, under their own."""
        met = decided.decision.detections
        known = {detection.entry.id for detection in met}
        leaked = {leak.entry.id: leak.entry for leak in leaks if leak.entry.id not in known}
        detections = (*met, *(Detection(entry=entry, score=1.0, evidence=()) for entry in leaked.values()))
        own = [treatment_of(entry.entry, self.policy) for entry in leaked.values()]
        treatment = strictest([*own, *filter(None, [next_rung(plan.treatment)])])
        decision = replace(decided.decision, action=Action.TREAT, treatment=treatment, detections=detections)
        question = decided.question if met else Question(shape=Shape.EARLIER, passage=decided.question.passage)
        return replace(decided, decision=decision, question=question)


def may_begin_anew(decided: Decided, plan: TreatmentPlan) -> bool:
    """True if a leak can be answered by another attempt: nothing was found before, or the ladder goes on."""
    return decided.decision.action is Action.PASS or next_rung(plan.treatment) is not None
