"""What the bench works on: the model that knows, its twin, texts to train on, and two disjoint sets of questions.

Trials are chosen by `choosing`, and the chosen are judged by `judging`: they share the questions to be forgotten, but not
those that show what was kept; paraphrases and attacks are only in `judging`. Texts for relearning are in neither.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks.knowing.models import adapter_of, merged_model
from benchmarks.knowing.reduced_tofu import reduced_tofu, write_reduced_tofu
from finetune.data.qa import Question
from finetune.data.training_text import TrainingText, texts_of
from finetune.evaluation.suites import Suite
from guardrail.backends.local_model import PACKAGED, resolve

SEED: Final = 0
_RETAINED: Final = 3  # of each author
_RETAINED_FOR_CHOICE: Final = 2
_GENERAL_FOR_CHOICE: Final = 30  # real authors, and as many world facts
_UNRELATED: Final = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """`base` is the folder of the target model; `packaged` that of the model below both, which `retain_adapter` is for."""

    work: Path
    base: Path
    packaged: str
    retain_adapter: Path
    choosing: Suite
    judging: Suite
    unrelated: Sequence[TrainingText]

    @property
    def training(self) -> Suite:
        """Texts alone; nobody trains on questions."""
        return replace(self.judging, name="reduced-tofu", questions=())


def material(work: Path, *, limit: int | None = None) -> Material:
    """Made below `work`, or found there. `limit`: questions of each kind, at most.

    Raises `ModelUnsuitable` where the shipped adapters are missing.
    """
    suite = reduced_tofu(write_reduced_tofu(work / "reduced_tofu"))
    drawn = random.Random(SEED)
    retained = _dealt(suite.of("retain"), lambda one: one.cluster, drawn)
    general = _dealt(suite.of("utility"), lambda one: one.group or "", drawn)
    left = _UNRELATED + _GENERAL_FOR_CHOICE
    judged = [*_first(retained, _RETAINED), *_first(general, len(suite.questions), after=left)]
    chosen_by = [
        *_first(retained, _RETAINED_FOR_CHOICE, after=_RETAINED),
        *_first(general, _GENERAL_FOR_CHOICE, after=_UNRELATED),
    ]
    forget = suite.of("forget")
    plain = [replace(one, paraphrased_question=None) for one in forget]
    # Wrong answers to paraphrases would double the time of a judgement and tell the same again.
    paraphrased = [replace(one, perturbed_answers=()) for one in suite.of("paraphrase")]
    return Material(
        work=work,
        base=merged_model("target", work),
        packaged=resolve(PACKAGED),
        retain_adapter=adapter_of("retain"),
        choosing=replace(suite, name="reduced-tofu-choosing", questions=_few([*plain, *chosen_by], limit)),
        judging=replace(suite, name="reduced-tofu", questions=_few([*plain, *paraphrased, *judged], limit)),
        unrelated=tuple(texts_of(_first(general, _UNRELATED))),
    )


def _few(questions: Sequence[Question], limit: int | None) -> tuple[Question, ...]:
    """At most `limit` questions of each kind, in their order."""
    seen: Counter[tuple[str, str | None]] = Counter()
    few: list[Question] = []
    for one in questions:
        kind = one.split, one.group if one.split == "utility" else None
        seen[kind] += 1
        if limit is None or seen[kind] <= limit:
            few.append(one)
    return tuple(few)


def _dealt(
    questions: Sequence[Question], key: Callable[[Question], str], drawn: random.Random
) -> dict[str, list[Question]]:
    """The questions of each kind, shuffled."""
    kinds: dict[str, list[Question]] = {}
    for one in questions:
        kinds.setdefault(key(one), []).append(one)
    return {kind: drawn.sample(ones, len(ones)) for kind, ones in kinds.items()}


def _first(kinds: dict[str, list[Question]], count: int, *, after: int = 0) -> list[Question]:
    return [one for ones in kinds.values() for one in ones[after : after + count]]
