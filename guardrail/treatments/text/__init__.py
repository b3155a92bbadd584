"""In-context unlearning methods for language: one literal table, name -> class.

An entry's `treatment` object names a method and may set its hyper-parameters and, for every method, `on_leak`
(`rewrite`, `stop`, `redact`) and `holdback` (`phrase`, `sentence`).
"""

from __future__ import annotations

from dataclasses import fields

from guardrail.treatments.text.ignorance import Ignorance
from guardrail.treatments.text.protocol import Treatment
from guardrail.treatments.text.redact import Redact
from guardrail.treatments.text.refusal import Refusal
from guardrail.treatments.text.substitute import Substitute

TREATMENTS: dict[str, type[Ignorance] | type[Refusal] | type[Substitute] | type[Redact]] = {
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
    return frozenset(field.name for field in fields(TREATMENTS[name])) | frozenset(COMMON_PARAMETERS)


__all__ = ["COMMON_PARAMETERS", "TREATMENTS", "Treatment", "parameters_of"]
