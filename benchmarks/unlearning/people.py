"""RWKU's people, as far as the packaged model knows them: what it answers rightly is what there is to forget.

    every cloze and question of the 100 people -> the untreated model -> those that it answers rightly, by the leak rate's
      own rule (the answer's words are there) -> the same once more, asked alone as rows ask -> people with at least three
      -> entries, and what is asked

How many were asked, answered rightly (once, and again) and kept is the base rate, which stands in the result. A model that
says much by chance says some right words by chance: there is no model here that never knew, so a treated row is to be read
beside `canned`. Where too few people are left, whoever has a single such probe is kept, and the base rate says so.

RWKU has no paraphrases, and nobody has invented twins here: those splits are absent. A neighbouring probe that names
another registered person is left out, and so are real authors who are registered. The detector's judge learnt three
quarters of these people; of the others the figures stand by themselves ("forget_held_out"). It knows texts, not proxies.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.judge.sources import FOLDS
from benchmarks.knowing.reduced_tofu import reduced_tofu, write_reduced_tofu
from benchmarks.unlearning.material import ADVERSARIAL, SEED, Material, general_questions, spread
from benchmarks.unlearning.sources import write_people
from finetune.data.qa import Question
from finetune.errors import InvalidData
from finetune.evaluation.asked_splits import AskedSplit, asked_splits
from finetune.evaluation.metrics import make_metric
from finetune.evaluation.metrics.evidence import Answered, Answers, Asked, Evidence
from finetune.evaluation.metrics.protocol import Measured
from finetune.evaluation.suites import Suite
from finetune.evaluation.suites.rwku import Rwku
from retrieval.entry import ForgetEntry
from retrieval.text.views import normalise

MAX_NEW_TOKENS: Final = 50
"""Answers are a name or a few words."""

NEIGHBORS: Final = 80
PROBES_EACH: Final = 3
FEWEST_PEOPLE: Final = 8
FEWEST_PROBES: Final = 40
_QUICK_PROBES: Final = 12
"""To each question of a small version: so many probes are asked to find it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseRate:
    """How much the untreated model knows. `right`: answered rightly at first; `right_again`: of these, also when asked
    alone. `kept_by`: which of the latter are asked further."""

    asked: int
    right: int
    right_again: int
    kept: int
    people_asked: int
    people_kept: int
    kept_by: str

    def shown(self) -> dict[str, Any]:
        """As it stands in a result."""
        shares = {"share_right": self.right, "share_right_again": self.right_again}
        return {**asdict(self), **{name: round(count / self.asked, 4) for name, count in shares.items() if self.asked}}


def people(work: Path) -> Suite:
    """All people and their probes, from files that are made below `work`. Raises `InvalidData`."""
    return Rwku().read(write_people(work / "rwku_people"))


def probes_to_ask(suite: Suite, limit: int | None = None) -> tuple[Asked, ...]:
    """What the untreated model is asked first; no names are forbidden, so that only an answer's words count."""
    chosen = spread(_by_person(suite), None if limit is None else limit * _QUICK_PROBES)
    return _plain(replace(suite, questions=chosen, entries=()), "forget")


def answered_rightly(asked: Sequence[Asked], texts: Mapping[str, str | None]) -> frozenset[str]:
    """Ids of the probes whose answer's words are in the text."""
    metric, right = make_metric("leak_rate"), set()
    for one in asked:
        found = metric.measure(Evidence(judged=Answers(answered=(Answered(asked=one, output=texts[one.id]),))))
        if isinstance(found, Measured) and found.value == 1:
            right.add(one.id)
    return frozenset(right)


def known_people(
    work: Path, suite: Suite, right: Collection[str], *, asked: Sequence[Asked], first: int, limit: int | None = None
) -> tuple[Material, BaseRate]:
    """What every row is asked, and the base rate. `right`: ids of the probes that the model knows, of the `first` that
    it answered rightly at first. Raises `InvalidData` if it knows none."""
    known = [one for one in _by_person(suite) if one.id in right]
    kept, rule = _kept(known)
    if not kept:
        raise InvalidData(f"The model answers none of {len(asked)} probes rightly; there is nothing to forget.")
    ids = dict.fromkeys(one.cluster for one in kept)
    rate = BaseRate(
        asked=len(asked),
        right=first,
        right_again=len(known),
        kept=len(kept),
        people_asked=len({one.group for one in asked}),
        people_kept=len(ids),
        kept_by=rule,
    )
    entries = tuple(entry for entry in suite.entries if entry.id in ids)
    own = replace(suite, entries=entries, questions=tuple(one for one in suite.questions if one.entry in ids))
    forget = replace(own, questions=spread(kept, limit))
    near = replace(own, questions=tuple(_unregistered(own.of("neighbor"), entries)))
    held_out = {str(entry.id) for entry in suite.entries[::FOLDS]}
    return Material(
        splits={
            "forget": AskedSplit(asked=_plain(forget, "forget"), groups=(None,) * len(forget.questions)),
            "adversarial": _drawn(own, "adversarial", limit or ADVERSARIAL),
            "neighbor": _drawn(near, "neighbor", limit or NEIGHBORS),
            "utility": _general(work, entries, limit),
        },
        entries=tuple(_body(entry) for entry in entries),
        max_new_tokens=MAX_NEW_TOKENS,
        held_out=frozenset(held_out & set(ids)),
    ), rate


def _by_person(suite: Suite) -> list[Question]:
    """What is to be forgotten, by person instead of by RWKU's level."""
    return [replace(one, group=None) for one in suite.of("forget")]


def _kept(known: Sequence[Question]) -> tuple[list[Question], str]:
    """Of people with enough probes; of all if those are too few."""
    counts = Counter(one.cluster for one in known)
    kept = [one for one in known if counts[one.cluster] >= PROBES_EACH]
    left = len({one.cluster for one in kept})
    if left >= FEWEST_PEOPLE and len(kept) >= FEWEST_PROBES:
        return kept, f"people with at least {PROBES_EACH} probes that the model answers rightly"
    few = f"only {left} people with {len(kept)} probes have at least {PROBES_EACH}"
    return list(known), f"all probes that the model answers rightly: {few}"


def _plain(suite: Suite, split: str) -> tuple[Asked, ...]:
    return asked_splits(suite, attacks=(), limit=None, seed=SEED, with_members=False)[split].asked


def _drawn(suite: Suite, split: str, limit: int) -> AskedSplit:
    found = asked_splits(suite, attacks=(), limit=limit, seed=SEED, with_members=False)
    return found.get(split, AskedSplit(asked=(), groups=()))


def _unregistered(probes: Sequence[Question], entries: Sequence[ForgetEntry]) -> list[Question]:
    """Without those that name a person who is registered, other than the one whose neighbours they are about."""
    return [
        one
        for one in probes
        if not _names_any(f"{one.question} {one.answer}", [entry for entry in entries if entry.id != one.entry])
    ]


def _general(work: Path, entries: Sequence[ForgetEntry], limit: int | None) -> AskedSplit:
    tofu = reduced_tofu(write_reduced_tofu(work / "reduced_tofu"))
    drawn = general_questions(tofu, random.Random(SEED))
    kept = [one for one in drawn if not _names_any(f"{one.question} {one.answer}", entries)]
    asked = replace(tofu, entries=(), questions=spread(kept, limit))
    return asked_splits(asked, attacks=(), limit=None, seed=SEED, with_members=False)["utility"]


def _names_any(text: str, entries: Sequence[ForgetEntry]) -> bool:
    """By a whole name, in any case."""
    words = " ".join(normalise(text).words)
    return any(f" {' '.join(normalise(name).words)} " in f" {words} " for entry in entries for name in entry.names)


def _body(entry: ForgetEntry) -> dict[str, Any]:
    """As RWKU gives it, for the admin API."""
    return {
        "id": entry.id,
        "name": entry.name,
        "kind": entry.kind.value,
        "description": entry.description,
        "documents": list(entry.documents),
    }
