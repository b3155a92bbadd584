"""Ranges of hyper-parameters, written as types, and the check that every method makes when it is built.

    beta: Positive = 0.1            a method's field; `check(self)` in `__post_init__` refuses 0, -1, "0.1", True and NaN

It does not know methods or their tables. Strings are refused, not read: whoever has strings turns them into numbers first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from finetune.errors import InvalidPlan, unknown_name


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """How small a number may be; `wanted` says it in words."""

    wanted: str
    at_least: float = -math.inf
    above: float = -math.inf
    at_most: float = math.inf

    def holds(self, value: float) -> bool:
        """False for infinities and NaN too."""
        return math.isfinite(value) and self.at_least <= value <= self.at_most and value > self.above


Finite = Annotated[float, Bound(wanted="a finite number")]
Weight = Annotated[float, Bound(wanted="a finite number, 0 or greater", at_least=0.0)]
Positive = Annotated[float, Bound(wanted="a finite number greater than 0", above=0.0)]
Share = Annotated[float, Bound(wanted="a number from 0 to 1", at_least=0.0, at_most=1.0)]
Whole = Annotated[int, Bound(wanted="a whole number, 0 or greater", at_least=0)]


def made(methods: Mapping[str, Any], name: str, hyper_parameters: Mapping[str, object]) -> Any:
    """The method of that name. Raises `InvalidPlan` for an unknown method or hyper-parameter, and as `check`."""
    if name not in methods:
        raise unknown_name("method", name, methods)
    known = {field.name for field in fields(methods[name])}
    for given in hyper_parameters:
        if given not in known:
            raise unknown_name(f"hyper-parameter of {name}", given, known)
    return methods[name](**hyper_parameters)


def check(method: Any) -> None:
    """Raises `InvalidPlan` for a field of a method whose value is not what its type says."""
    hints = get_type_hints(type(method), include_extras=True)
    for field in fields(method):
        value = getattr(method, field.name)
        wanted = _wanted(hints[field.name])
        if not _fits(value, hints[field.name]):
            raise InvalidPlan(f"{method.name}: {field.name} is {value!r}, but must be {wanted}.")


def _fits(value: object, hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    kind, bound = get_args(hint)
    numbers = int if kind is int else int | float
    return isinstance(value, numbers) and not isinstance(value, bool) and bound.holds(value)


def _wanted(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " or ".join(repr(choice) for choice in get_args(hint))
    return str(get_args(hint)[1].wanted)
