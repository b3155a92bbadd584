"""What a model is asked, split by split: a suite's questions, variants under attack, texts for membership inference.

Where a suite brings no adversarial questions they are made from those to be forgotten: format shifts and paraphrases by
template; attacks by conversation and by who knows the registry only if they are named. A limit draws under a seed, as
evenly over a split's groups as it can. It does not know models or metrics.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import TypeVar

from finetune.data.qa import SPLITS, Question
from finetune.evaluation.attacks import KNOWING_ATTACKS, PROMPT_ATTACKS, variants, with_wrong_answers
from finetune.evaluation.attacks.protocol import Variant
from finetune.evaluation.metrics.evidence import Asked
from finetune.evaluation.metrics.judging import asked_questions, asked_texts
from finetune.evaluation.suites import Suite

MEMBERS = "members"
HOLDOUT = "holdout"

_CONTINUED = frozenset({"verbmem"})
"""Groups whose questions are passages to be continued as they stand (MUSE)."""

One = TypeVar("One")


@dataclass(frozen=True, kw_only=True, slots=True)
class AskedSplit:
    """`groups`: the part that each question belongs to, if any. By id, variants whose leak they tell themselves: `choices`
    that may be right by chance, and those of knowing attackers that are `told`."""

    asked: tuple[Asked, ...]
    groups: tuple[str | None, ...]
    choices: Mapping[str, Variant] = field(default_factory=dict)
    told: Mapping[str, Variant] = field(default_factory=dict)


def asked_splits(
    suite: Suite, *, attacks: Sequence[str] | None, limit: int | None, seed: int, with_members: bool
) -> dict[str, AskedSplit]:
    """By name, without empty ones. `attacks` are attacks or groups of them, made beside the suite's own adversarial
    questions; None makes all prompt attacks where it has none. `with_members` adds the splits of membership inference.
    Raises `InvalidPlan` for an unknown attack."""
    forbidden = {entry.id: entry.names for entry in suite.entries if entry.id}
    found: dict[str, AskedSplit] = {}
    for split in SPLITS:
        made: dict[str, Variant] = {}
        questions = suite.of(split)
        if split == "adversarial":
            names = tuple(attacks) if attacks is not None else () if questions else tuple(PROMPT_ATTACKS)
            forgotten = with_wrong_answers(suite.of("forget"), seed=seed)
            shown = variants(forgotten, names, entries=suite.entries, answered=suite.of("retain"))
            made = {variant.id: variant for variant in shown}
            questions = [*questions, *(variant.as_question() for variant in shown)]
        chosen = _chosen(questions, [one.group for one in questions], limit, seed)
        if chosen:
            found[split] = AskedSplit(
                asked=tuple(_asked(one, forbidden, made) for one in chosen),
                groups=tuple(one.group for one in chosen),
                choices={one.id: made[one.id] for one in chosen if one.id in made and made[one.id].leak != "tells"},
                told={one.id: made[one.id] for one in chosen if one.id in made and _is_told(made[one.id])},
            )
    if with_members:
        for name, texts in ((MEMBERS, suite.member_texts or suite.forget_texts), (HOLDOUT, suite.holdout_texts)):
            drawn = _chosen(texts, [one.entry for one in texts], limit, seed)
            if drawn:
                found[name] = AskedSplit(asked=tuple(asked_texts(drawn)), groups=(None,) * len(drawn))
    return found


def _is_told(variant: Variant) -> bool:
    return variant.leak == "tells" and variant.attack in KNOWING_ATTACKS


def _asked(question: Question, forbidden: Mapping[str, Sequence[str]], made: Mapping[str, Variant]) -> Asked:
    (one,) = asked_questions([question], forbidden)
    if question.id in made:  # variants of one question stand or fall together
        return replace(one, group=made[question.id].question.cluster, dialogue=made[question.id].dialogue)
    return replace(one, form="text") if question.group in _CONTINUED else one


def _chosen(items: Sequence[One], groups: Sequence[str | None], limit: int | None, seed: int) -> list[One]:
    """At most `limit` of the items, in their order."""
    if limit is None or len(items) <= limit:
        return list(items)
    drawn = random.Random(seed)
    by_group: dict[str | None, list[int]] = {}
    for place, group in enumerate(groups):
        by_group.setdefault(group, []).append(place)
    piles = [drawn.sample(places, len(places)) for places in by_group.values()]
    drawn.shuffle(piles)
    dealt = [place for row in zip_longest(*piles) for place in row if place is not None]
    return [items[place] for place in sorted(dealt[:limit])]
