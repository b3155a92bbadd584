"""Find the smallest strength at which corrupted prompts no longer leak, from answers alone (a zeroth-order search).

Liu et al. 2024 (arXiv:2406.07933) estimate the slope of a score from two answers and descend. Whether an answer leaks is
yes or no and has no slope, so here the strength is doubled until nothing leaks, at twice the strength neither, and then
the gap to the last one that leaked is halved (in ratio) until it is small enough.

Questions that leak at the largest strength too are left out: they tell the fact themselves, or the model guesses it.
It knows neither models nor entries, and keeps nothing: the caller saves what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Ask = Callable[[str, float], str]
"""A question and a strength -> the model's answer."""

IsLeak = Callable[[str, str], bool]
"""A question and the answer to it -> True if the answer tells what the question does not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundStrength:
    """`strength` is None where no strength up to the largest keeps all of the questions from leaking, or none was left.

    `tried`: strength -> how many of the questions kept leaked; `left_out`: questions that no strength helps.
    """

    strength: float | None
    tried: dict[float, int]
    left_out: tuple[str, ...]


def smallest_strength(
    questions: Sequence[str],
    ask: Ask,
    is_leak: IsLeak,
    *,
    first: float = 0.25,
    largest: float = 64.0,
    precision: float = 1.2,
) -> FoundStrength:
    """Search between `first` and `largest`; the result is at most `precision` times the strength that still leaks.

    Raises `ValueError` unless 0 < first < largest and precision > 1.
    """
    if not 0 < first < largest or precision <= 1:
        raise ValueError(f"a search needs 0 < first < largest and precision > 1, not {first}, {largest}, {precision}")
    left_out = tuple(one for one in questions if is_leak(one, ask(one, largest)))
    kept = [one for one in questions if one not in left_out]
    tried = {largest: 0} if kept else {}

    def leaks(strength: float) -> bool:
        if strength not in tried:
            tried[strength] = sum(is_leak(one, ask(one, strength)) for one in kept)
        return tried[strength] > 0

    def found(strength: float | None) -> FoundStrength:
        return FoundStrength(strength=strength, tried=dict(sorted(tried.items())), left_out=left_out)

    if not kept:
        return found(None)
    below, above = 0.0, first
    while leaks(above) or leaks(min(2 * above, largest)):
        if above >= largest:
            return found(None)
        below, above = above, min(2 * above, largest)
    while below and above / below > precision:
        between = (below * above) ** 0.5
        below, above = (between, above) if leaks(between) else (below, between)
    return found(above)
