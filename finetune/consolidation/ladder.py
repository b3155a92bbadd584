"""What is tried one after another when the gate refuses: methods and strengths by what is served.

The first rung for language is the default method of `consolidate run`; the next ones are what came nearest to a model that
never knew in `benchmarks/consolidation`, and in `benchmarks/shapes/edits` for pictures. It knows no jobs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from finetune.consolidation import default_method

Modality = Literal["text", "image"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rung:
    """A method with its hyper-parameters, what of the plan is not the default, and how much of the edit is kept."""

    method: str
    hyper_parameters: Mapping[str, Any] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    edit_scale: float = 1.0


LADDER: Final[Mapping[Modality, Sequence[Rung]]] = {
    "text": (
        Rung(
            method=default_method.METHOD,
            hyper_parameters=default_method.HYPER_PARAMETERS,
            plan=default_method.PLAN,
            edit_scale=default_method.EDIT_SCALE,
        ),
        Rung(method=default_method.METHOD, plan=default_method.PLAN),
        Rung(method="undial", hyper_parameters={"retain_weight": 3.0}, plan={**default_method.PLAN, "epochs": 4}),
    ),
    "image": (Rung(method="uce"), Rung(method="rece"), Rung(method="concept_ablation", plan={"steps": 240})),
}


def rung(modality: Modality, number: int) -> Rung:
    """The rung of that number; the last one where there are no more."""
    rungs = LADDER[modality]
    return rungs[min(number, len(rungs) - 1)]
