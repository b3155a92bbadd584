"""Open refusal: nothing is drawn, and the caller is told that it is refused.

Source: the refusal baseline of guardrail studies (Thaker et al. 2024, arXiv:2403.03329). Differs: the form on the wire is
the operator's choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from guardrail.decision import Capability, RefusalStyle
from guardrail.pictures import Concept, PicturePlan, PictureRequest
from guardrail.treatments.image.protocol import entry_ids


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureRefusal:
    """`style`: the policy's where an entry says nothing."""

    name: ClassVar[str] = "refusal"
    paper: ClassVar[str] = "arXiv:2403.03329"
    needs: ClassVar[frozenset[Capability]] = frozenset()

    style: str = RefusalStyle.ERROR.value

    def plan(self, request: PictureRequest, concepts: Sequence[Concept]) -> PicturePlan:
        return PicturePlan(treatment=self.name, refusal=RefusalStyle(self.style), entry_ids=entry_ids(concepts))
