"""Puts questions to a model, as far as metrics need the answers, and measures.

    questions, facts -> gather(model) -> Answers -> Evidence -> measure(metric) -> figure or reason

What a model does not offer is noted with the reason and never asked for. Of a conversation only outputs and samples can
be known. It does not know suites' files or reports.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from finetune.data.qa import Question
from finetune.data.training_text import TrainingText
from finetune.errors import ModelUnsuitable
from finetune.evaluation.dialogue import Dialogue
from finetune.evaluation.judged_model import ConversingModel, Fact, Form, JudgedModel, Sampling, TokenFacts
from finetune.evaluation.metrics.evidence import Answered, Answers, Asked, Evidence
from finetune.evaluation.metrics.protocol import Absent, Metric, Outcome

MAX_NEW_TOKENS = 200
"""As TOFU."""

_FORMS: tuple[Form, ...] = ("question", "text")
_WHAT = {
    Fact.OUTPUT: "outputs",
    Fact.SAMPLES: "samples",
    Fact.TOKENS: "log-probabilities of given answers",
    Fact.GRADIENT_NORM: "gradients",
}

Given = TypeVar("Given")
Ask = Callable[[Sequence[Asked], Form], Sequence[Given]]
Converse = Callable[[Sequence[Dialogue]], Sequence[Given]]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Others:
    """What a model makes of the answers beside the right one."""

    paraphrased: TokenFacts | None
    perturbed: tuple[TokenFacts, ...]


def asked_questions(questions: Iterable[Question], forbidden: Mapping[str, Sequence[str]] | None = None) -> list[Asked]:
    """A suite's questions. `forbidden`: for an entry's id, phrases that must not come out. What is about one entry stands
    or falls together."""
    return [
        Asked(
            id=one.id,
            question=one.question,
            answer=one.answer,
            paraphrased_answer=one.paraphrased_answer,
            perturbed_answers=one.perturbed_answers,
            forbidden=tuple((forbidden or {}).get(one.entry or "", ())),
            group=one.cluster,
        )
        for one in questions
    ]


def asked_texts(texts: Iterable[TrainingText]) -> list[Asked]:
    """Texts as they were trained on, or as they were not: members and holdout of membership inference."""
    return [
        Asked(
            id=one.id, question=one.prompt, answer=one.text, form="question" if one.prompt else "text", group=one.entry
        )
        for one in texts
    ]


def facts_for(metrics: Iterable[Metric]) -> frozenset[Fact]:
    """All that these metrics need to know."""
    return frozenset().union(*(metric.needs for metric in metrics))


def gather(
    model: JudgedModel,
    asked: Sequence[Asked],
    facts: Collection[Fact],
    *,
    reference: JudgedModel | None = None,
    sampling: Sampling | None = None,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> Answers:
    """The facts of each question, in order. `sampling` is needed for samples, `reference` for reference tokens.

    Raises `ModelUnsuitable` where a conversation is put to a model that takes prompts only.
    """
    missing = _missing(model, facts, reference, sampling)
    wanted = frozenset(facts) - missing.keys()

    def column(fact: Fact, ask: Ask[Given], converse: Converse[Given] | None = None) -> Sequence[Given | None]:
        return _by_form(asked, ask, converse) if fact in wanted else [None] * len(asked)

    def outputs(some: Sequence[Asked], form: Form) -> Sequence[str]:
        return model.generate(_prompts(some), max_new_tokens=max_new_tokens, form=form)

    def samples(some: Sequence[Asked], form: Form) -> Sequence[tuple[str, ...]]:
        drawn = sampling or Sampling(count=0)  # without it samples are missing and nobody asks
        return model.sample(_prompts(some), drawn, max_new_tokens=max_new_tokens, form=form)

    def said(some: Sequence[Dialogue]) -> Sequence[str]:
        return [one[0] for one in _conversing(model).converse(some, max_new_tokens=max_new_tokens)]

    def drawn_said(some: Sequence[Dialogue]) -> Sequence[tuple[str, ...]]:
        return _conversing(model).converse(some, max_new_tokens=max_new_tokens, sampling=sampling)

    columns = zip(
        asked,
        column(Fact.OUTPUT, outputs, said),
        column(Fact.SAMPLES, samples, drawn_said),
        column(Fact.TOKENS, lambda some, form: model.token_facts(_prompts(some), _right(some), form=form)),
        column(Fact.OTHER_TOKENS, lambda some, form: _other_tokens(model, some, form)),
        column(
            Fact.REFERENCE_TOKENS,
            lambda some, form: (reference or model).token_facts(_prompts(some), _right(some), form=form),
        ),
        column(Fact.GRADIENT_NORM, lambda some, form: model.gradient_norms(_prompts(some), _right(some), form=form)),
        strict=True,
    )
    answered = tuple(
        Answered(
            asked=one,
            output=output,
            samples=drawn,
            tokens=tokens,
            paraphrased_tokens=others.paraphrased if others else None,
            perturbed_tokens=others.perturbed if others else (),
            reference_tokens=reference_tokens,
            gradient_norm=gradient_norm,
        )
        for one, output, drawn, tokens, others, reference_tokens, gradient_norm in columns
    )
    return Answers(answered=answered, missing=missing)


def measure(metric: Metric, evidence: Evidence) -> Outcome:
    """The metric's figure, or why there is none. A value that is no finite number is no figure."""
    if (why := evidence.judged.lacks(metric.needs)) is not None:
        return Absent(reason=why)
    outcome = metric.measure(evidence)
    if isinstance(outcome, Absent) or math.isfinite(outcome.value):
        return outcome
    return Absent(reason=f"It came out as {outcome.value}, which is no finite number, over {outcome.n} questions.")


def _missing(
    model: JudgedModel, facts: Collection[Fact], reference: JudgedModel | None, sampling: Sampling | None
) -> dict[Fact, str]:
    """What cannot be had, and why."""
    missing: dict[Fact, str] = {}
    for fact in facts:
        asks, rests_on = model, Fact.TOKENS if fact in (Fact.OTHER_TOKENS, Fact.REFERENCE_TOKENS) else fact
        if fact is Fact.REFERENCE_TOKENS:
            if reference is None:
                missing[fact] = "It compares with a reference model, and none was given."
                continue
            asks = reference
        if rests_on not in asks.offers:
            missing[fact] = f"'{asks.name}' gives no {_WHAT[rests_on]}."
        elif fact is Fact.SAMPLES and sampling is None:
            missing[fact] = "It needs drawn answers, and how to draw them was not given."
    return missing


def _by_form(asked: Sequence[Asked], ask: Ask[Given], converse: Converse[Given] | None) -> list[Given | None]:
    """The answers in order, though each form is asked by itself, and so are conversations; None where those cannot be."""
    found: dict[int, Given] = {}
    for form in _FORMS:
        places = [place for place, one in enumerate(asked) if one.form == form and one.dialogue is None]
        if places:
            found.update(zip(places, ask([asked[place] for place in places], form), strict=True))
    talks = {place: one.dialogue for place, one in enumerate(asked) if one.dialogue is not None}
    if talks and converse is not None:
        found.update(zip(talks, converse(list(talks.values())), strict=True))
    return [found.get(place) for place in range(len(asked))]


def _conversing(model: JudgedModel) -> ConversingModel:
    if isinstance(model, ConversingModel):
        return model
    raise ModelUnsuitable(
        f"'{model.name}' takes single prompts only, and an attack is a conversation; leave out attacks by conversation."
    )


def _other_tokens(model: JudgedModel, asked: Sequence[Asked], form: Form) -> list[_Others]:
    answers = [(*filter(None, [one.paraphrased_answer]), *one.perturbed_answers) for one in asked]
    prompts = [one.question for one, of_one in zip(asked, answers, strict=True) for _ in of_one]
    flat = iter(model.token_facts(prompts, [answer for of_one in answers for answer in of_one], form=form))
    return [
        _Others(
            paraphrased=next(flat) if one.paraphrased_answer else None,
            perturbed=tuple(next(flat) for _ in one.perturbed_answers),
        )
        for one in asked
    ]


def _prompts(asked: Sequence[Asked]) -> list[str]:
    return [one.question for one in asked]


def _right(asked: Sequence[Asked]) -> list[str]:
    return [one.answer for one in asked]
