"""From questions to figures: only what is needed is asked, what is missing has a reason, and the order stays."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import pytest

from finetune.data.qa import Question
from finetune.data.training_text import TrainingText
from finetune.errors import ModelUnsuitable
from finetune.evaluation.dialogue import Dialogue, user
from finetune.evaluation.judged_model import ConversingModel, Fact, Sampling
from finetune.evaluation.local_model import LocalModel
from finetune.evaluation.metrics import METRICS
from finetune.evaluation.metrics.evidence import Asked, Evidence
from finetune.evaluation.metrics.judging import asked_questions, asked_texts, facts_for, gather, measure
from finetune.evaluation.metrics.membership import MiaGradnorm, MiaReference
from finetune.evaluation.metrics.probability import Probability
from finetune.evaluation.metrics.protocol import Absent, Measured, Metric, Outcome
from finetune.evaluation.metrics.rouge import RougeLRecall
from finetune.evaluation.metrics.truth_ratio import TruthRatio
from tests.unit.finetune.evaluation.judged import (
    ConversingScript,
    ScriptedModel,
    answers,
    asked,
    tiny_model,
    tiny_tokenizer,
)

QUESTIONS = [
    asked(0, paraphrased_answer="p q", perturbed_answers=("w", "w w w")),
    asked(1, form="text"),
    asked(2, perturbed_answers=("w w",)),
]


def test_only_what_is_needed_is_asked() -> None:
    model = ScriptedModel()
    found = gather(model, QUESTIONS, facts_for([RougeLRecall()]))
    assert model.asked == [("generate", "question", 2), ("generate", "text", 1)]
    assert [one.output for one in found.answered] == [f"says question {number}" for number in range(3)]
    assert found.answered[0].tokens is None
    assert gather(model, [], facts_for([RougeLRecall()])).answered == ()


def test_conversations_are_put_as_they_are_and_their_answers_come_back_to_their_places() -> None:
    model = ConversingScript()
    talk = Dialogue(turns=(user("one"), user("two")), prefill="begun")
    mixed = [QUESTIONS[0], asked(1, dialogue=talk), asked(2)]
    facts = {Fact.OUTPUT, Fact.SAMPLES, Fact.TOKENS}
    found = gather(model, mixed, facts, sampling=Sampling(count=2))
    assert isinstance(model, ConversingModel)
    assert model.dialogues == [talk, talk]
    assert [one.output for one in found.answered] == ["says question 0", "goes on from begun 0", "says question 2"]
    assert found.answered[1].samples == ("goes on from begun 0", "goes on from begun 1")
    assert [one.tokens is None for one in found.answered] == [False, True, False]


def test_a_model_that_takes_prompts_only_is_told_so_where_a_conversation_is_asked() -> None:
    with pytest.raises(ModelUnsuitable, match="'scripted' takes single prompts only"):
        gather(ScriptedModel(), [asked(0, dialogue=Dialogue(turns=(user("one"),)))], {Fact.OUTPUT})


def test_other_answers_are_asked_together_and_come_back_to_their_questions() -> None:
    model = ScriptedModel()
    found = gather(model, QUESTIONS, facts_for([TruthRatio()]))
    assert model.asked[-2:] == [("token_facts", "question", 4), ("token_facts", "text", 0)]
    first, second, third = found.answered
    assert first.paraphrased_tokens is not None
    assert len(first.paraphrased_tokens) == 2
    assert [len(tokens) for tokens in first.perturbed_tokens] == [1, 3]
    assert second.perturbed_tokens == ()
    assert third.paraphrased_tokens is None
    assert [len(tokens) for tokens in third.perturbed_tokens] == [2]


def test_what_a_model_does_not_offer_is_not_asked_and_the_metric_is_absent_for_that_reason() -> None:
    model = ScriptedModel("endpoint", offers=frozenset({Fact.OUTPUT}))
    metrics: list[Metric] = [Probability(), TruthRatio(), MiaGradnorm(), MiaReference(), RougeLRecall()]
    found = Evidence(judged=gather(model, QUESTIONS, facts_for(metrics)))
    assert {what for what, _, _ in model.asked} == {"generate"}
    outcomes = [measure(metric, found) for metric in metrics]
    no_tokens = Absent(reason="'endpoint' gives no log-probabilities of given answers.")
    assert outcomes[:2] == [no_tokens, no_tokens]
    assert outcomes[2] == Absent(reason="'endpoint' gives no gradients.")
    assert outcomes[3] == Absent(reason="It compares with a reference model, and none was given.")
    assert isinstance(outcomes[4], Measured)


def test_samples_need_a_way_to_draw_and_reference_tokens_a_model_that_gives_them() -> None:
    model = ScriptedModel()
    found = gather(model, QUESTIONS, [Fact.SAMPLES])
    assert "how to draw" in found.missing[Fact.SAMPLES]
    found = gather(model, QUESTIONS, [Fact.SAMPLES], sampling=Sampling(count=2))
    assert found.answered[0].samples == ("says question 0 0", "says question 0 1")
    silent = ScriptedModel("second", offers=frozenset({Fact.OUTPUT}))
    found = gather(model, QUESTIONS, [Fact.REFERENCE_TOKENS], reference=silent)
    assert found.missing[Fact.REFERENCE_TOKENS] == "'second' gives no log-probabilities of given answers."
    found = gather(model, QUESTIONS, [Fact.REFERENCE_TOKENS], reference=ScriptedModel("third"))
    assert all(one.reference_tokens is not None for one in found.answered)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_no_number_is_absent(value: float) -> None:
    @dataclasses.dataclass(frozen=True)
    class Broken:
        name: ClassVar[str] = "broken"
        version: ClassVar[int] = 1
        paper: ClassVar[str] = ""
        needs: ClassVar[frozenset[Fact]] = frozenset()

        def measure(self, evidence: Evidence) -> Outcome:
            return Measured(value=value, n=3, ci95=None)

    outcome = measure(Broken(), Evidence(judged=answers()))
    assert isinstance(outcome, Absent)
    assert "no finite number, over 3 questions" in outcome.reason


def test_questions_of_one_entry_stand_together_and_carry_its_phrases() -> None:
    questions = [
        Question(
            id="1",
            question="q",
            answer="a",
            split="forget",
            entry="e",
            paraphrased_answer="p",
            perturbed_answers=("w",),
        ),
        Question(id="2", question="q", answer="a", split="utility"),
    ]
    one, other = asked_questions(questions, {"e": ["Alias"]})
    assert one == Asked(
        id="1",
        question="q",
        answer="a",
        paraphrased_answer="p",
        perturbed_answers=("w",),
        forbidden=("Alias",),
        group="e",
    )
    assert (other.group, other.forbidden) == ("2", ())


def test_texts_by_themselves_are_judged_as_texts_answers_as_questions() -> None:
    one, other = asked_texts(
        [TrainingText(id="1", text="a text"), TrainingText(id="2", text="a", prompt="q", entry="e")]
    )
    assert one == Asked(id="1", question="", answer="a text", form="text")
    assert other == Asked(id="2", question="q", answer="a", group="e")


def test_a_tiny_model_is_judged_by_every_metric_of_the_table() -> None:
    tokenizer = tiny_tokenizer()
    judged, retain = (LocalModel(name=f"m{seed}", model=tiny_model(seed=seed), tokenizer=tokenizer) for seed in (0, 1))
    forget = [
        asked(n, question=f"{w} b", answer=f"c {w} d", paraphrased_answer="d c", perturbed_answers=("e f", "g"))
        for n, w in enumerate("mnop")
    ]
    unseen = [asked(n, question=f"{w} b", answer=f"c {w} d") for n, w in enumerate("uvwx")]
    texts = [asked(n, question=w, answer="a b", form="text") for n, w in enumerate("yz")]
    metrics = [METRICS[name]() for name in METRICS]
    facts = facts_for(metrics)

    def evidence_of(model: LocalModel, other: LocalModel) -> Evidence:
        sampling = Sampling(count=2)
        sets = {
            name: gather(model, forget, facts, reference=other, sampling=sampling, max_new_tokens=4)
            for name in ("retain", "real_authors", "world_facts")
        }
        return Evidence(
            judged=gather(model, [*forget, *texts], facts, reference=other, sampling=sampling, max_new_tokens=4),
            holdout=gather(model, unseen, facts, reference=other, sampling=sampling, max_new_tokens=4),
            sets=sets,
        )

    found = dataclasses.replace(evidence_of(judged, retain), retain_model=evidence_of(retain, judged))
    outcomes = {metric.name: measure(metric, found) for metric in metrics}
    absent = {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, Absent)}
    assert not absent
