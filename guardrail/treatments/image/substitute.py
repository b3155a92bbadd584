"""Draw something else: the entry's substitute, or a neighbour of it, stands in the prompt for its names.

p' = p with each name n_i replaced by the anchor a_i. Source: the anchor concepts of Kumari et al. 2023, arXiv:2303.13516.
Differs from the paper: the prompt is changed, not the weights. Where no name stands in the prompt, or nothing may stand for
it, another treatment must take the request. Persons, works and styles have no anchor but the operator's own words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from guardrail.decision import Capability
from guardrail.pictures import Concept, PicturePlan, PictureRequest
from guardrail.treatments.image.anchors import anchor_of, answered
from guardrail.treatments.image.protocol import entry_ids
from guardrail.treatments.image.wording import spans_of


@dataclass(frozen=True, kw_only=True, slots=True)
class SubstitutePrompt:
    """No parameters: the words are the entry's."""

    name: ClassVar[str] = "substitute"
    paper: ClassVar[str] = "arXiv:2303.13516"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.IMAGES})

    def plan(self, request: PictureRequest, concepts: Sequence[Concept]) -> PicturePlan | None:
        anchors = {one.entry.id: anchor_of(one, concepts, turn=request.prompt) for one in concepts}
        named = all(spans_of(request.prompt, concept) for concept in concepts)
        if not named or None in anchors.values():
            return None
        prompt = answered(request.prompt, concepts, anchors)
        return PicturePlan(treatment=self.name, prompt=prompt, entry_ids=entry_ids(concepts))
