"""Ask once more, under another invented name: what takes the place of `stand_in` where its answer leaked.

A model that has learnt a text by heart goes on with it whoever is asked about, as far as the name is like the one that it
learnt; another name leads it elsewhere. The answer is drawn from p(y | q(n'')), n'' chosen as n' is for `stand_in`, under
another key. Papers, and how it differs from them: see there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from guardrail.decision import Capability, TreatmentPlan
from guardrail.treatments.text.protocol import TreatmentContext
from guardrail.treatments.text.under_other_names import plan_under_other_names

_OTHERWISE = b"/another"


@dataclass(frozen=True, kw_only=True, slots=True)
class AnotherName:
    """No parameters."""

    name: ClassVar[str] = "another_name"
    paper: ClassVar[str] = "arXiv:2406.07933, arXiv:2310.02238"
    needs: ClassVar[frozenset[Capability]] = frozenset()

    def plan(self, context: TreatmentContext) -> TreatmentPlan | None:
        return plan_under_other_names(self.name, context, key=context.means.naming_key + _OTHERWISE)
