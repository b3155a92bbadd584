"""In-context unlearning methods for language: one literal table, name -> class.

An entry's `treatment` object names a method, several in order ("stand_in+restrict") or `auto` (see `policy.AUTO`), and may
set hyper-parameters and, for every method, `on_leak` (`rewrite`, `stop`, `redact`) and `holdback` (`phrase`, `sentence`).
"""

from __future__ import annotations

from dataclasses import fields

from guardrail.policy import CHOOSES
from guardrail.treatments.text.another_name import AnotherName
from guardrail.treatments.text.eco import EmbeddingCorruption
from guardrail.treatments.text.icul import InContextUnlearning
from guardrail.treatments.text.ignorance import Ignorance
from guardrail.treatments.text.memory import Memory
from guardrail.treatments.text.offset import Offset
from guardrail.treatments.text.protocol import Treatment
from guardrail.treatments.text.redact import Redact
from guardrail.treatments.text.refusal import Refusal
from guardrail.treatments.text.restrict import Restrict
from guardrail.treatments.text.stand_in import StandInName
from guardrail.treatments.text.substitute import Substitute

TREATMENTS: dict[str, type[Treatment]] = {
    "stand_in": StandInName,
    "another_name": AnotherName,
    "restrict": Restrict,
    "eco": EmbeddingCorruption,
    "offset": Offset,
    "icul": InContextUnlearning,
    "memory": Memory,
    "ignorance": Ignorance,
    "refusal": Refusal,
    "substitute": Substitute,
    "redact": Redact,
}

COMMON_PARAMETERS: dict[str, frozenset[str]] = {
    "on_leak": frozenset({"rewrite", "stop", "redact"}),
    "holdback": frozenset({"phrase", "sentence"}),
}
"""Parameters that every method takes, and their values."""


def parameters_of(name: str) -> frozenset[str]:
    """Names of the parameters that an entry may set for a treatment."""
    own = () if name == CHOOSES else fields(TREATMENTS[name])
    return frozenset(field.name for field in own) | frozenset(COMMON_PARAMETERS)


__all__ = ["COMMON_PARAMETERS", "TREATMENTS", "Treatment", "parameters_of"]
