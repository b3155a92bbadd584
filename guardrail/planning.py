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
from guardrail.policy import next_rung, parts_of, strictest, treatment_of
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
class Rung:
    """A treatment on the way down the ladder, and its plan for a request; without a plan it is passed over, and the plan of
    a list may do without some of it.

    `helped_by`: what the backend would have to be able to do for the whole treatment, any one of these; empty where nothing
    is missing, or something else is.
    """

    treatment: str
    plan: TreatmentPlan | None
    helped_by: tuple[Capability, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Foreseen:
    """What lies before a decided request on this backend: the rungs from the decided treatment down, in order."""

    backend: str
    rungs: tuple[Rung, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Planner:
    """`naming_key`: the secret on which invented names hang. `corrupt_of`: backend name -> what makes corrupted prompts;
    filled as backends start."""

    policy: PolicySettings
    naming_key: bytes = b""
    corrupt_of: Mapping[str, Corrupt] = field(default_factory=dict)

    def plan(self, decided: Decided, route: Route | None = None) -> TreatmentPlan:
        """The plan for a request; without a route for a backend that can do nothing."""
        return self._plan(decided, self._capabilities(route))

    def foresee(self, decided: Decided, route: Route) -> Foreseen:
        """Every rung that the ladder has for a request: the first with a plan is used, the next ones follow leaks."""
        can = self._capabilities(route)
        name, rungs = decided.decision.treatment, list[Rung]()
        while name is not None:
            plan = self._plan_under(name, decided, can)
            rungs.append(Rung(treatment=name, plan=plan, helped_by=self._helped(name, decided, can)))
            name = next_rung(plan.treatment) if plan is not None else next_rung(name) or "ignorance"
        return Foreseen(backend=route.backend.name, rungs=tuple(rungs))

    def _helped(self, name: str, decided: Decided, can: frozenset[Capability]) -> tuple[Capability, ...]:
        def is_whole(plan: TreatmentPlan | None) -> bool:
            return plan is not None and plan.treatment == name

        if is_whole(self._plan_under(name, decided, can)):
            return ()
        more = (one for one in Capability if one not in can)
        return tuple(one for one in more if is_whole(self._plan_under(name, decided, can | {one})))

    def _plan_under(self, name: str, decided: Decided, can: frozenset[Capability]) -> TreatmentPlan | None:
        """The plan of this very treatment, not of one below it; of a list the first is always in it."""
        plan = self._plan(replace(decided, decision=replace(decided.decision, treatment=name)), can)
        return plan if parts_of(plan.treatment)[0] == parts_of(name)[0] else None

    def _plan(self, decided: Decided, can: frozenset[Capability]) -> TreatmentPlan:
        means = Means(capabilities=can, naming_key=self.naming_key)
        return plan_for(decided.passages, decided.decision, self.policy, question=decided.question, means=means)

    def _capabilities(self, route: Route | None) -> frozenset[Capability]:
        if route is None:
            return frozenset()
        more = {Capability.PROMPT_EMBEDS} if route.backend.name in self.corrupt_of else frozenset[Capability]()
        return route.backend.capabilities | more

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
        treatment = strictest([*filter(None, [next_rung(plan.treatment)]), *own])
        decision = replace(decided.decision, action=Action.TREAT, treatment=treatment, detections=detections)
        question = decided.question if met else Question(shape=Shape.EARLIER, passage=decided.question.passage)
        return replace(decided, decision=decision, question=question)


def may_begin_anew(decided: Decided, plan: TreatmentPlan) -> bool:
    """True if a leak can be answered by another attempt: nothing was found before, or the ladder goes on."""
    return decided.decision.action is Action.PASS or next_rung(plan.treatment) is not None
