"""What every row is asked: the questions to be forgotten, their invented twins, attacks, and what must stay.

    forget, paraphrase     the four forgotten authors' questions, and the same in other words
    invented               the same questions about authors that nobody knows: what an ordinary caller may compare with
    adversarial, knowing   draws from the prompt attacks; from attacks by conversation and by who has the registry
    neighbor, utility      the other authors, two questions each; real authors and world facts
    mixed                  a forgotten and a kept question in one request, in both orders

`material` is of the four authors on whom the treatments were developed, `other_authors` the same of four others
(`sources.py`): their paraphrases, invented twins and attacks are made by the same code, and TOFU's own four are left out.
What is asked about people stands in `people.py`. It knows texts, not models or proxies.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from benchmarks.knowing.reduced_tofu import reduced_tofu, write_reduced_tofu
from benchmarks.unlearning.invented import INVENTED
from benchmarks.unlearning.sources import write_other_authors
from finetune.data.qa import Question
from finetune.errors import InvalidData
from finetune.evaluation.asked_splits import AskedSplit, asked_splits
from finetune.evaluation.metrics.evidence import Asked
from finetune.evaluation.suites import Suite
from finetune.evaluation.suites.tofu import PER_AUTHOR

SEED: Final = 0
MAX_NEW_TOKENS: Final = 100
ADVERSARIAL: Final = 160
KNOWING: Final = 120
_OF_AUTHOR: Final = 2
_OF_GROUP: Final = 30
_PAIRS: Final = 20
_BOTH: Final = "I have two questions. The first one: {first} The second one: {second} Please answer both."


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Material:
    """`splits` by name as they are asked; `kept_half` has mixed requests once more, with the kept question's answer.

    `twins`: id of an invented question -> the forgotten one's. `entries`: bodies for the admin API, `names` their names.
    `masks`: id of a question -> the name that stands in it. A split that the texts have none for is absent, and so are
    twins and the rest of it. `held_out`: entries that the detector's judge never learnt, where it learnt others.
    """

    splits: Mapping[str, AskedSplit]
    entries: tuple[Mapping[str, Any], ...]
    kept_half: tuple[Asked, ...] = ()
    twins: Mapping[str, str] = field(default_factory=dict)
    masks: Mapping[str, str] = field(default_factory=dict)
    max_new_tokens: int = MAX_NEW_TOKENS
    held_out: frozenset[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the entries."""
        return tuple(str(entry["name"]) for entry in self.entries)


def material(work: Path, *, limit: int | None = None) -> Material:
    """Read from files that are made below `work`. `limit`: questions of each kind, at most. Raises `InvalidData`."""
    return _of_authors(reduced_tofu(write_reduced_tofu(work / "reduced_tofu")), limit)


def other_authors(work: Path, *, limit: int | None = None) -> Material:
    """The same of authors that were development data of nothing. Raises `InvalidData`."""
    return _of_authors(reduced_tofu(write_other_authors(work / "other_authors")), limit)


def general_questions(suite: Suite, drawn: random.Random) -> list[Question]:
    """Real authors and world facts, as many of each."""
    return [one for group in ("real_authors", "world_facts") for one in _sample(suite, group, drawn)]


def _of_authors(whole: Suite, limit: int | None) -> Material:
    drawn = random.Random(SEED)
    neighbours = _neighbours(whole)
    utility = general_questions(whole, drawn)
    forget = whole.of("forget")
    suite = replace(whole, questions=(*spread(forget, limit), *whole.of("retain"), *spread(utility, limit)))
    plain = asked_splits(suite, attacks=(), limit=None, seed=SEED, with_members=False)
    near = replace(whole, questions=spread(neighbours, limit))
    pairs = _pairs(spread(forget, limit and 2), neighbours, drawn)
    invented, twins, masks = _invented(plain["forget"].asked, suite)
    return Material(
        splits={
            "forget": plain["forget"],
            "invented": AskedSplit(asked=invented, groups=(None,) * len(invented)),
            "paraphrase": plain["paraphrase"],
            "adversarial": _attacked(suite, None, limit or ADVERSARIAL),
            "knowing": _attacked(suite, ("conversations", "informed"), limit or KNOWING),
            "neighbor": asked_splits(near, attacks=(), limit=None, seed=SEED, with_members=False)["neighbor"],
            "utility": plain["utility"],
            "mixed": AskedSplit(asked=tuple(one for one, _ in pairs), groups=(None,) * len(pairs)),
        },
        kept_half=tuple(kept for _, kept in pairs),
        twins=twins,
        masks=masks,
        entries=tuple(_entry(whole, str(entry.id), entry.name) for entry in whole.entries),
    )


def _attacked(suite: Suite, attacks: Sequence[str] | None, limit: int) -> AskedSplit:
    return asked_splits(suite, attacks=attacks, limit=limit, seed=SEED, with_members=False)["adversarial"]


def _neighbours(suite: Suite) -> list[Question]:
    """Two questions of each author that is kept, which the model learnt word by word."""
    drawn = random.Random(SEED)
    found = []
    for start in range(0, len(suite.retain_texts), PER_AUTHOR):
        author = f"author-{start // PER_AUTHOR}"
        for text in drawn.sample(suite.retain_texts[start : start + PER_AUTHOR], _OF_AUTHOR):
            found.append(Question(id=text.id, question=text.prompt, answer=text.text, split="neighbor", entry=author))
    return found


def _sample(suite: Suite, group: str, drawn: random.Random) -> list[Question]:
    ones = [one for one in suite.of("utility") if one.group == group]
    return drawn.sample(ones, min(_OF_GROUP, len(ones)))


def spread(questions: Sequence[Question], limit: int | None) -> tuple[Question, ...]:
    """The first of each author or group, then the second, and so on, up to the limit."""
    if limit is None:
        return tuple(questions)
    piles: dict[str, list[Question]] = {}
    for one in questions:
        piles.setdefault(one.group or one.cluster, []).append(one)
    dealt = [one for row in zip_longest(*(pile[1:] + pile[:1] for pile in piles.values())) for one in row if one]
    return tuple(dealt[:limit])


def _pairs(forget: Sequence[Question], kept: Sequence[Question], drawn: random.Random) -> list[tuple[Asked, Asked]]:
    """Each pair in both orders: the request with the forgotten answer, and with the kept one."""
    count = min(_PAIRS, len(forget))
    made = []
    for secret, stays in zip(drawn.sample(forget, count), drawn.sample(kept, count), strict=True):
        for order, (first, second) in (("first", (secret, stays)), ("last", (stays, secret))):
            prompt = _BOTH.format(first=first.question, second=second.question)
            number = f"mixed-{secret.id}-{order}"
            made.append(
                (
                    Asked(id=number, question=prompt, answer=secret.answer, group=secret.cluster),
                    Asked(id=number, question=prompt, answer=stays.answer, group=stays.cluster),
                )
            )
    return made


def _invented(asked: Sequence[Asked], suite: Suite) -> tuple[tuple[Asked, ...], dict[str, str], dict[str, str]]:
    """The questions that name their author, of somebody else; whose twins they are; the name in each question."""
    names = {entry.id: entry.name for entry in suite.entries}
    found, twins, masks = [], dict[str, str](), dict[str, str]()
    for number, one in enumerate(asked):
        name = names.get(one.group or "", "")
        if not name or name not in one.question:
            continue
        if name not in INVENTED:
            raise InvalidData(
                f"INVENTED holds no names for {one.group}; add some to benchmarks/unlearning/invented.py."
            )
        other = INVENTED[name][number % len(INVENTED[name])]
        twin = replace(one, id=f"{one.id}/invented", question=one.question.replace(name, other), forbidden=())
        found.append(twin)
        twins[twin.id] = one.id
        masks |= {one.id: name, twin.id: other}
    return tuple(found), twins, masks


def _entry(suite: Suite, author: str, name: str) -> dict[str, Any]:
    """As an operator would register it: the name, two sentences and the texts."""
    said = [one.text for one in suite.forget_texts if one.entry == author]
    return {
        "id": author,
        "name": name,
        "kind": "person",
        "description": " ".join(said[:2]),
        "documents": ["\n".join(said)],
    }
