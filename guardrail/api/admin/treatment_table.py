"""What entries may say about their treatment: the served treatments, their parameters, and which values these take.

The knowledge comes from the treatments themselves (names, fields and defaults); nothing is run here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from guardrail.decision import RefusalStyle
from guardrail.policy import CHOOSES, parts_of
from guardrail.treatments.image import PICTURE_TREATMENTS, picture_parameters_of
from guardrail.treatments.text import COMMON_PARAMETERS, TREATMENTS, parameters_of
from retrieval.entry import TreatmentChoice
from retrieval.errors import InvalidEntry


def known_treatments() -> dict[str, frozenset[str]]:
    """Treatment -> names of its parameters."""
    words = {name: parameters_of(name) for name in (CHOOSES, *TREATMENTS)}
    pictures = {name: picture_parameters_of(name) for name in PICTURE_TREATMENTS}
    none = frozenset[str]()
    return {name: words.get(name, none) | pictures.get(name, none) for name in (*words, *pictures)}


def _defaults(name: str) -> Mapping[str, Any]:
    families = (PICTURE_TREATMENTS, TREATMENTS)  # words are the last word on what both know
    parts = [family[part] for family in families for part in parts_of(name) if part in family]
    return {field.name: field.default for part in parts for field in fields(part) if field.default is not MISSING}


def check_values(choice: TreatmentChoice) -> None:
    """Each parameter's value must be one that the treatment can work with; raises `InvalidEntry`.

    A value that only fails when a request comes would fail every request that touches the entry.
    """
    defaults = _defaults(choice.method)
    for name, value in choice.parameters.items():
        param = f"treatment.{name}"
        words = COMMON_PARAMETERS.get(name)
        if words is not None and (not isinstance(value, str) or value not in words):
            raise InvalidEntry(f"Field '{param}': must be one of {', '.join(sorted(words))}.", param=param)
        default = defaults.get(name)
        if name == "style" and value not in set(RefusalStyle):
            raise InvalidEntry(f"Field '{param}': must be one of {', '.join(RefusalStyle)}.", param=param)
        if default is None:
            default = ""  # what may be left out is text
        # JSON has one kind of number: 1 is fine for 1.0, but True is no number.
        wanted = (int, float) if isinstance(default, float) else (type(default),)
        if not isinstance(value, wanted) or (isinstance(value, bool) and not isinstance(default, bool)):
            raise InvalidEntry(f"Field '{param}': must be of the type {type(default).__name__}.", param=param)
