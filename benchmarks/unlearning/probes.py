"""All questions that ask for the forgotten alone, together: how many tell something, and how sure that is.

A question leaks by the evaluator's rule for its kind: plain ones, paraphrases and attacked prompts by `leak_rate`, those of
knowing attackers by what they are told (`told_rate`). Where a choice or yes or no was asked for, a hit may be chance, so
these stand by themselves. One rate, three intervals, for three claims:

    leak_rate                 clusters are authors: about other authors; with four of them it is wide whatever was seen
    leak_rate_by_fact         clusters are questions with their paraphrases and attacks: about other facts of these authors
    leak_rate_over_questions  every question a witness (Wilson): about these authors, asked in other ways

It knows answers, not rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.unlearning.kept import Replies
from finetune.evaluation.asked_splits import AskedSplit
from finetune.evaluation.attacks.telling import is_leak
from finetune.evaluation.intervals import rate_interval
from finetune.evaluation.metrics import make_metric
from finetune.evaluation.metrics.evidence import Answered, Answers, Asked, Evidence
from finetune.evaluation.metrics.protocol import Absent, Measured, Outcome

PROBES: Final = ("forget", "paraphrase", "adversarial", "knowing")


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """One question: whether its answer leaks, whom it is about, and what fact it asks for."""

    leaks: bool
    author: str | None
    fact: str


def probes(splits: Mapping[str, AskedSplit], replies: Mapping[str, Replies]) -> list[Probe]:
    """Of all such questions that were answered and could be seen to leak."""
    facts = {one.id for one in splits["forget"].asked}
    found = []
    for name in PROBES:
        for one in splits[name].asked if name in splits else ():
            hit = _leaks(splits[name], one, replies[name].by_id[one.id].text)
            if hit is not None:
                base = one.id.rpartition("/")[0]
                found.append(Probe(leaks=hit, author=one.group, fact=base if base in facts else one.id))
    return found


def together(found: Sequence[Probe]) -> dict[str, Outcome]:
    """The rate with each of its intervals."""
    names = ("leak_rate", "leak_rate_by_fact", "leak_rate_over_questions")
    if not found:
        return dict.fromkeys(names, Absent(reason="No such question was answered."))
    hits = [one.leaks for one in found]
    clusters = ([one.author for one in found], [one.fact for one in found], None)
    rate = sum(hits) / len(hits)
    return {
        name: Measured(value=rate, n=len(hits), ci95=rate_interval(hits, groups))
        for name, groups in zip(names, clusters, strict=True)
    }


def _leaks(split: AskedSplit, one: Asked, text: str | None) -> bool | None:
    if text is None or one.id in split.choices:
        return None
    if one.id in split.told:
        return is_leak(split.told[one.id], text)
    outcome = make_metric("leak_rate").measure(Evidence(judged=Answers(answered=(Answered(asked=one, output=text),))))
    return outcome.value == 1.0 if isinstance(outcome, Measured) else None
