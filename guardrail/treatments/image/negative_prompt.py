"""Lead the picture away from the concept: its names stand in the negative prompt.

With n the states of the negative prompt in the place of the unconditional ones, classifier-free guidance draws

    e = e(n) + s (e(c) - e(n))

Paper: Ho and Salimans 2022, arXiv:2207.12598, for guidance; that n may be a text is folklore of Stable Diffusion. Differs
from it: nothing. It takes styles away; where the prompt asks for the concept itself, n holds it once more and colours and
objects stay (measured). Costs no time. Distilled models that are not asked about n cannot do it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from guardrail.decision import Capability
from guardrail.pictures import Concept, PicturePlan, PictureRequest
from guardrail.treatments.image.protocol import entry_ids, led_away
from guardrail.treatments.image.together import joined


@dataclass(frozen=True, kw_only=True, slots=True)
class NegativePrompt:
    """`phrases`: how many of an entry's names are listed, the first ones."""

    name: ClassVar[str] = "negative_prompt"
    paper: ClassVar[str] = "arXiv:2207.12598"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.NEGATIVE_PROMPT})

    phrases: int = 4

    def plan(self, request: PictureRequest, concepts: Sequence[Concept]) -> PicturePlan | None:
        if not led_away(request):
            return None
        words = [phrase for concept in concepts for phrase in concept.phrases[: self.phrases]]
        return PicturePlan(treatment=self.name, negative_prompt=joined(*words), entry_ids=entry_ids(concepts))
