"""What a treatment for pictures is: (request, concepts) -> plan, or nothing where the request offers it nothing to work on.

A treatment is a frozen dataclass whose fields are its hyper-parameters; an entry may set them by name in its `treatment`
object. It is pure: what must happen inside a pipeline is a `Steering` in the plan, carried out by the backend. It does not
look at what is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import Field
from typing import Any, ClassVar, Protocol

from guardrail.decision import Capability
from guardrail.denoising.pipelines import LEAST_GUIDANCE
from guardrail.pictures import Concept, PicturePlan, PictureRequest


class PictureTreatment(Protocol):
    """One way of not drawing something."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    name: ClassVar[str]
    paper: ClassVar[str]
    needs: ClassVar[frozenset[Capability]]

    def plan(self, request: PictureRequest, concepts: Sequence[Concept]) -> PicturePlan | None:
        """The plan for one request; None where another treatment must take it (see `policy.PICTURE_LADDER`). `concepts`
        is not empty."""
        ...


def entry_ids(concepts: Sequence[Concept]) -> tuple[str, ...]:
    """Ids of the concepts' entries, in canonical order."""
    return tuple(sorted({concept.entry.id for concept in concepts}))


def led_away(request: PictureRequest) -> bool:
    """True if the request lets the pipeline be led away from something: near a guidance scale of 1 the negative prompt
    weighs next to nothing, and a caller who sets it must not get round a treatment by it."""
    return request.guidance_scale is None or request.guidance_scale >= LEAST_GUIDANCE
