"""What a treatment is: (request, decision) -> plan, or nothing where the request offers it nothing to work on.

A treatment is a frozen dataclass whose fields are its hyper-parameters; an entry may set them by name in its `treatment`
object. It is pure: it does not call the backend, and it does not look at what comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import Field, dataclass
from typing import Any, ClassVar, Protocol

from guardrail.decision import Capability, Decision, Passage, Repair, TreatmentPlan
from guardrail.settings import PolicySettings
from guardrail.treatments.text.question import Question


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """What there is to work with: what the backend can do, and the secret on which invented names hang."""

    capabilities: frozenset[Capability] = frozenset()
    naming_key: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class TreatmentContext:
    """What a treatment may look at. `repair` holds the policy's defaults with the entries' own wishes applied."""

    passages: Sequence[Passage]
    decision: Decision
    question: Question
    policy: PolicySettings
    repair: Repair
    means: Means

    @property
    def asked(self) -> str:
        """The last text of the user; empty where a request brings only pictures."""
        return self.passages[self.question.passage].text if self.passages else ""


class Treatment(Protocol):
    """One in-context unlearning method for language."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    name: ClassVar[str]
    paper: ClassVar[str]
    needs: ClassVar[frozenset[Capability]]

    def plan(self, context: TreatmentContext) -> TreatmentPlan | None:
        """The plan for one request; None where another treatment must take it (see `policy.LADDER`)."""
        ...
