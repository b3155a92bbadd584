"""Ask for the rest of the picture: the concept's names are taken out of the prompt, in clean grammar.

p' = p without n_i. No paper: it is the word filter that every study compares with, mended so that what is left is a prompt.
It cannot take out what no name stands for (synonyms, descriptions, token soup), and what the model draws where the prompt
leaves something open may be the concept all the same. Where nothing would be left, another treatment must take the request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from guardrail.decision import Capability
from guardrail.pictures import Concept, PicturePlan, PictureRequest
from guardrail.treatments.image.anchors import answered
from guardrail.treatments.image.protocol import entry_ids
from guardrail.treatments.image.wording import spans_of


@dataclass(frozen=True, kw_only=True, slots=True)
class RewrittenPrompt:
    """No parameters."""

    name: ClassVar[str] = "rewrite"
    paper: ClassVar[str] = "none"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.IMAGES})

    def plan(self, request: PictureRequest, concepts: Sequence[Concept]) -> PicturePlan | None:
        if not all(spans_of(request.prompt, concept) for concept in concepts):
            return None
        prompt = answered(request.prompt, concepts, {})
        is_left = any(character.isalnum() for character in prompt)
        return PicturePlan(treatment=self.name, prompt=prompt, entry_ids=entry_ids(concepts)) if is_left else None
