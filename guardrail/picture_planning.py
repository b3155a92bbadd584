"""What is done about a request for pictures in which something was found, and what next if a picture shows it.

From detections to concepts, from concepts to a plan, and from a plan to the stricter one behind it: one rung of the ladder
at a time. It knows the treatments, the policy's ladder and what the backend can do; it sends nothing and looks at nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from guardrail.decision import Capability, Detection
from guardrail.pictures import Concept, PictureLeak, PicturePlan, PictureRequest
from guardrail.policy import CHOOSES, next_picture_rung, parts_of, picture_treatment_of, strictest_for_pictures
from guardrail.settings import PolicySettings
from guardrail.treatments.image import PICTURE_TREATMENTS
from guardrail.treatments.image.together import together
from retrieval.entry import RegisteredEntry

Able = frozenset[Capability]


def concepts_of(detections: Sequence[Detection], *, passage: int = 0) -> tuple[Concept, ...]:
    """What must not be drawn: entries that cover pictures, with where the prompt (that passage) names them."""
    found: dict[str, Concept] = {}
    for detection in sorted(detections, key=lambda one: one.entry.id):
        if "image" in detection.entry.entry.modalities:
            named = [item for item in detection.evidence if item.is_name and item.passage == passage]
            met = tuple(sorted({(item.start, item.end) for item in named}))
            found[detection.entry.id] = concept_of(detection.entry, met=met)
    return tuple(found.values())


def concept_of(entry: RegisteredEntry, *, met: tuple[tuple[int, int], ...] = ()) -> Concept:
    """An entry as something that can be drawn."""
    told = entry.entry
    phrases = tuple(dict.fromkeys(told.names))
    return Concept(entry=entry, phrases=phrases, substitute=told.substitute, neighbors=told.neighbors, met=met)


@dataclass(frozen=True, kw_only=True, slots=True)
class PicturePlanner:
    """`otherwise`: the treatment of entries that name none for pictures."""

    policy: PolicySettings
    otherwise: str = CHOOSES

    def plan(self, request: PictureRequest, concepts: Sequence[Concept], can: Able) -> PicturePlan | None:
        """The plan for a request; None where nothing was found: it is drawn as it came."""
        if not concepts:
            return None
        own = [picture_treatment_of(one.entry.entry, self.policy, otherwise=self.otherwise) for one in concepts]
        return self._from(strictest_for_pictures(own), request, concepts, can)

    def stricter(
        self,
        plan: PicturePlan | None,
        request: PictureRequest,
        concepts: Sequence[Concept],
        leaks: Sequence[PictureLeak],
        can: Able,
    ) -> PicturePlan:
        """The plan after a picture showed an entry, for the concepts met and those that showed; `blank` at the end.

        Never one above the plan before: that has shown what it lets through.
        """
        whole = with_leaked(concepts, leaks)
        known = {concept.entry.id for concept in concepts}
        fresh = [one for one in whole if one.entry.id not in known]
        names = [picture_treatment_of(one.entry.entry, self.policy, otherwise=self.otherwise) for one in fresh]
        if plan is None:
            return self._from(strictest_for_pictures(names or ["blank"]), request, whole, can)
        below = _rungs_below(plan.treatment)
        start = max((below.index(name) for name in names if name in below), default=0)
        return self._from("blank" if "refusal" in names else below[start], request, whole, can)

    def _from(self, name: str, request: PictureRequest, concepts: Sequence[Concept], can: Able) -> PicturePlan:
        rung: str | None = name
        while rung is not None:
            plan = self._under(rung, request, concepts, can)
            if plan is not None:
                return plan
            rung = next_picture_rung(rung)
        return PICTURE_TREATMENTS["blank"]().plan(request, concepts) or PicturePlan(treatment="blank", is_blank=True)

    def _under(self, name: str, request: PictureRequest, concepts: Sequence[Concept], can: Able) -> PicturePlan | None:
        """The plan of a treatment, or of several; None if the first can do nothing. Those behind it add what they can."""
        plans = list[PicturePlan]()
        for part in parts_of(name):
            treatment = PICTURE_TREATMENTS[part](**self._parameters(concepts, part))
            plan = treatment.plan(request, concepts) if treatment.needs <= can else None
            if plan is not None:
                plans.append(plan)
            elif not plans:
                return None
        whole = together(plans)
        # A list of which something is missing is still that rung: else the ladder would go over it again.
        return replace(whole, treatment=name) if len(plans) < len(parts_of(name)) else whole

    def _parameters(self, concepts: Sequence[Concept], method: str) -> dict[str, Any]:
        """The hyper-parameters that the entries set for this method; the first entry that sets one wins."""
        known = {field.name for field in fields(PICTURE_TREATMENTS[method])}
        found: dict[str, Any] = {"style": self.policy.refusal_style.value} if "style" in known else {}
        own = [concept.entry.entry.treatment for concept in concepts]
        for choice in reversed([one for one in own if one is not None and method in parts_of(one.method)]):
            found |= {key: value for key, value in choice.parameters.items() if key in known}
        return found


def _rungs_below(name: str) -> list[str]:
    """What lies below a treatment on the ladder, down to `blank`."""
    rungs = [name]
    while (rung := next_picture_rung(rungs[-1])) is not None:
        rungs.append(rung)
    return [*(rung for rung in rungs[1:] if rung != "blank"), "blank"]


def with_leaked(concepts: Sequence[Concept], leaks: Sequence[PictureLeak]) -> tuple[Concept, ...]:
    """The concepts, and those of entries that showed without having been met."""
    found = {concept.entry.id: concept for concept in concepts}
    for leak in leaks:
        found.setdefault(leak.entry.id, concept_of(leak.entry))
    return tuple(found[key] for key in sorted(found))
