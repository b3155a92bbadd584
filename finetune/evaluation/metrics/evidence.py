"""What a metric is given: questions, what a model answered to each, and the same of models it is compared with.

Values only: how they come about is `judging`'s part. What could not be found out is None, and `missing` says why.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from finetune.evaluation.dialogue import Dialogue
from finetune.evaluation.judged_model import Fact, Form, TokenFacts


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One question, or a text and its continuation.

    `forbidden`: names, aliases and other phrases that must not come out, beside the answer itself. `group`: what the
    question stands or falls with (its author, the question it rephrases); None if with nothing. `dialogue`: what the model
    is put where that is more than the question; `question` is then the text of all turns.
    """

    id: str
    question: str
    answer: str
    form: Form = "question"
    paraphrased_answer: str | None = None
    perturbed_answers: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    group: str | None = None
    dialogue: Dialogue | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Answered:
    """A question and what one model makes of it."""

    asked: Asked
    output: str | None = None
    samples: tuple[str, ...] | None = None
    tokens: TokenFacts | None = None
    paraphrased_tokens: TokenFacts | None = None
    perturbed_tokens: tuple[TokenFacts, ...] = ()
    reference_tokens: TokenFacts | None = None
    gradient_norm: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Answers:
    """One model's answers to a set of questions. `missing`: facts that were wanted and that it does not give, and why."""

    answered: tuple[Answered, ...] = ()
    missing: Mapping[Fact, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.answered)

    def lacks(self, needs: Collection[Fact]) -> str | None:
        """Why one of these facts is missing; None if none is."""
        return next((self.missing[need] for need in sorted(needs) if need in self.missing), None)

    @property
    def groups(self) -> list[str | None]:
        """The group of each question."""
        return [one.asked.group for one in self.answered]

    @property
    def ids(self) -> list[str]:
        """The id of each question."""
        return [one.asked.id for one in self.answered]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evidence:
    """All that a metric may look at. `judged`: the split under judgement; `holdout`: texts of the same kind that no model
    was trained on; `sets`: further named sets; `retain_model`: the same of a model that was never trained on the forget
    set."""

    judged: Answers = field(default_factory=Answers)
    holdout: Answers | None = None
    sets: Mapping[str, Answers] = field(default_factory=dict)
    retain_model: Evidence | None = None
