"""No picture of the model's: a neutral one of the policy stands for every picture asked. The end of every ladder.

No paper: it is what public services show. The caller cannot tell which entry it was, but sees that something was done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from guardrail.decision import Capability
from guardrail.pictures import Concept, PicturePlan, PictureRequest
from guardrail.treatments.image.protocol import entry_ids


@dataclass(frozen=True, kw_only=True, slots=True)
class BlankPicture:
    """No parameters."""

    name: ClassVar[str] = "blank"
    paper: ClassVar[str] = "none"
    needs: ClassVar[frozenset[Capability]] = frozenset()

    def plan(self, request: PictureRequest, concepts: Sequence[Concept]) -> PicturePlan:
        return PicturePlan(treatment=self.name, is_blank=True, entry_ids=entry_ids(concepts))
