"""The ten errors of a suite that teach most: five wrongly caught, five missed. For development data only: it shows texts.

Wrongly caught: the highest scores, one of each subject. Missed: from each of the five worst groups the one that came
nearest to being caught. Pure.
"""

from __future__ import annotations

from typing import Any, Final

from benchmarks.detection.development_data import Line
from benchmarks.detection.measures import Judged
from benchmarks.detection.suites import prompt_of
from guardrail.evaluation.outcomes import Outcome

_OF_EACH: Final = 5
_SHOWN_CHARS: Final = 400


def errors_of(judged: Judged) -> list[dict[str, Any]]:
    """Ten errors at most, as they stand in the result file."""
    pairs = list(zip(judged.probes, judged.outcomes, strict=True))
    wrong = sorted(((p, o) for p, o in pairs if o.held and not o.is_expected), key=lambda pair: -pair[1].score)
    one_each: dict[str, tuple[Line, Outcome]] = {}
    for probe, outcome in wrong:
        one_each.setdefault(str(probe.get("subject") or outcome.entries or outcome.told_entries), (probe, outcome))
    return [
        *(_shown("wrongly caught", probe, outcome) for probe, outcome in list(one_each.values())[:_OF_EACH]),
        *(_shown("missed", probe, outcome) for probe, outcome in _missed(pairs)),
    ]


def _missed(pairs: list[tuple[Line, Outcome]]) -> list[tuple[Line, Outcome]]:
    groups: dict[str, list[tuple[Line, Outcome]]] = {}
    for probe, outcome in pairs:
        if outcome.is_expected:
            groups.setdefault(outcome.group, []).append((probe, outcome))
    rates = {group: sum(one.held for _, one in members) / len(members) for group, members in groups.items()}
    found = []
    for group in sorted(rates, key=lambda group: rates[group]):
        missed = [pair for pair in groups[group] if not pair[1].held]
        if missed:
            found.append(max(missed, key=lambda pair: pair[1].score))
    return found[:_OF_EACH]


def _shown(what: str, probe: Line, outcome: Outcome) -> dict[str, Any]:
    return {
        "error": what,
        "group": outcome.group,
        "prompt": prompt_of(probe)[:_SHOWN_CHARS],
        "answer": str(probe.get("answer", ""))[:_SHOWN_CHARS],
        "expect": probe["expect"],
        "entries": list(outcome.entries or outcome.told_entries),
        "score": round(outcome.score, 4),
    }
