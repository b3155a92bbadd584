"""A suite about towns, models that know some of its answers, and their evaluation: what tests of whole runs share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from finetune.data.qa import Question
from finetune.evaluation.judged_model import Form, JudgedModel, TokenFacts
from finetune.evaluation.run import EvaluationJob, UnlearningReport
from finetune.evaluation.subjects import Subject
from finetune.evaluation.suites import Suite
from retrieval.entry import ForgetEntry
from tests.unit.finetune.evaluation.judged import ScriptedModel, facts

TOWNS = ("Trondheim", "Bergen", "Stavanger", "Narvik")


def question(number: int, split: Any, **given: Any) -> Question:
    """About one of two people; the town is what tells something."""
    person, town = ("Mira Voss", "Jonas Lindqvist")[number % 2], TOWNS[number % len(TOWNS)]
    filled = {
        "id": f"{split}-{number}",
        "question": f"In which town did {person} spend year {number}?",
        "answer": f"{person} spent it in {town}.",
        "paraphrased_answer": f"It was spent in {town} by {person}.",
        "perturbed_answers": tuple(f"{person} spent it in {other}." for other in TOWNS if other != town),
        "entry": ("mira", "jonas")[number % 2] if split == "forget" else None,
    }
    return Question(split=split, **{**filled, **given})


def suite(*more: Question, **given: Any) -> Suite:
    questions = (
        *(question(n, "forget", paraphrased_question=f"Year {n}: where was it spent?") for n in range(6)),
        *(question(n, "retain", question=f"Where does river {n} end?") for n in range(3)),
        *(question(n, "utility", question=f"Where is lake {n}?", group="lakes") for n in range(2)),
        *(question(n, "utility", question=f"Where is hill {n}?", group="hills") for n in range(2)),
        *more,
    )
    entries = (ForgetEntry(id="mira", name="Mira Voss"), ForgetEntry(id="jonas", name="Jonas Lindqvist"))
    return Suite(**{"name": "towns", "questions": questions, "entries": entries, **given})


class Knowing(ScriptedModel):
    """Says the right answer to any prompt that holds a question that it knows, and finds that answer likely."""

    def __init__(self, known: Sequence[Question], *, breaks_at: int | None = None, **given: Any) -> None:
        super().__init__(**given)
        self._known = [(text, one.answer) for one in known for text in _wordings(one)]
        self._breaks_at = breaks_at

    def generate(self, prompts: Sequence[str], *, max_new_tokens: int, form: Form = "question") -> list[str]:
        if self._breaks_at is not None and len(self.asked) >= self._breaks_at:
            raise KeyboardInterrupt
        super().generate(prompts, max_new_tokens=max_new_tokens, form=form)
        return [self._answer(prompt) or "I do not know that." for prompt in prompts]

    def token_facts(
        self, prompts: Sequence[str], answers: Sequence[str], *, form: Form = "question"
    ) -> list[TokenFacts]:
        super().token_facts(prompts, answers, form=form)
        return [self._facts(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)]

    def gradient_norms(self, prompts: Sequence[str], answers: Sequence[str], *, form: Form = "question") -> list[float]:
        return [1.0 / (1 + len(prompt)) for prompt in prompts]

    def _answer(self, prompt: str) -> str | None:
        return next((answer for text, answer in self._known if text in prompt), None)

    def _facts(self, prompt: str, answer: str) -> TokenFacts:
        town = next((town for town in TOWNS if town in (self._answer(prompt) or "")), "nowhere")
        each = (-0.1 if town in answer else -2.0) - len(prompt) / 1000
        return facts([each] * len(answer.split()), greedy=[town in answer] * len(answer.split()))


def _wordings(one: Question) -> list[str]:
    return [one.question, *filter(None, [one.paraphrased_question])]


def subject(model: JudgedModel | None, **identity: str) -> Subject:
    """None: a model that must not be loaded."""

    def load() -> JudgedModel:
        assert model is not None, "it was loaded although nothing was left to ask"
        return model

    return Subject(identity={"kind": "merged", **identity}, load=load)


def of(shown: Suite, *splits: str) -> list[Question]:
    return [one for one in shown.questions if one.split in splits]


def job(tmp_path: Path, shown: Suite, **given: Any) -> EvaluationJob:
    everything = Knowing(shown.questions)
    retain = Knowing(of(shown, "retain", "utility"))
    filled: dict[str, Any] = {
        "models": {"none": subject(everything), "npo": subject(Knowing(of(shown, "retain")))},
        "retain_model": subject(retain),
        "out": tmp_path / "r.json",
    }
    return EvaluationJob(suite=shown, **{**filled, **given})


def quiet(stage: str, done: int, total: int) -> None:
    assert done <= total


def measured(report: UnlearningReport, label: str, split: str, metric: str) -> float:
    return report.models[label].split(split).measured[metric].value
