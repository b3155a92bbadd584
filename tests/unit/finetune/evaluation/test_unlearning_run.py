"""A whole evaluation of scripted models: figures under their axes, next to the retain model, and the same after a break."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from finetune.data.qa import Question
from finetune.data.training_text import TrainingText
from finetune.errors import CheckpointBroken, InvalidPlan
from finetune.evaluation.asked_splits import asked_splits
from finetune.evaluation.attacks import CONVERSATIONS, FORMAT_SHIFTS, INFORMED, PROMPT_ATTACKS
from finetune.evaluation.dialogue import Dialogue
from finetune.evaluation.judged_model import Fact, Form, JudgedModel, Sampling, TokenFacts
from finetune.evaluation.metrics import METRICS, make_metric
from finetune.evaluation.metrics.evidence import Answered
from finetune.evaluation.resumed import AnswerFolder
from finetune.evaluation.run import EvaluationJob, UnlearningReport, evaluate
from finetune.evaluation.split_figures import METRICS_OF, RIGHT_CHOICE, TOLD, UTILITY
from finetune.evaluation.subjects import Subject
from finetune.evaluation.suites import Suite
from retrieval.entry import EntryKind, ForgetEntry
from retrieval.entry import Fact as EntryFact
from tests.unit.finetune.evaluation.judged import ScriptedModel, answers, asked, facts

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


def test_models_stand_next_to_the_untouched_and_the_retain_model_under_the_three_axes(tmp_path: Path) -> None:
    report = evaluate(job(tmp_path, suite()), quiet)
    assert list(report.models) == ["none", "npo"]
    none, npo, retain = report.models["none"], report.models["npo"], report.retain_model
    assert retain is not None
    assert list(none.accuracy) == ["forget"]
    assert {"paraphrase", "adversarial", "adversarial/poem"} <= set(none.generalizability)
    assert {"retain", "utility", "utility/lakes", "utility/hills"} == set(none.locality)
    assert measured(report, "none", "forget", "leak_rate") == 1.0
    assert measured(report, "npo", "forget", "leak_rate") == 0.0
    assert measured(report, "npo", "forget", "refusal_rate") == 1.0
    assert measured(report, "none", "paraphrase", "rouge_l_recall") == pytest.approx(1.0)
    assert measured(report, "none", "forget", "ks_distance") == pytest.approx(1.0)
    assert measured(report, "npo", "forget", "ks_distance") == 0.0
    assert measured(report, "npo", "forget", "forget_quality") > 0.99
    assert retain.split("forget").measured["forget_quality"].value == pytest.approx(1.0)
    utility = none.split("utility").measured["model_utility"]
    assert utility.parameters == {"sets": ("retain", "utility"), "with_options": ("utility",)}
    assert utility.value > measured(report, "npo", "utility", "model_utility")
    assert utility.n == 7
    assert npo.split("forget").measured["rouge_l_recall"].n == 6


def test_the_file_holds_what_decides_the_figures_and_no_text_of_the_suite(tmp_path: Path) -> None:
    shown = suite()
    stages: list[tuple[str, int, int]] = []
    report = evaluate(job(tmp_path, shown, seed=3), lambda *told: stages.append(told))
    content = (tmp_path / "r.json").read_bytes()
    assert UnlearningReport.model_validate(orjson.loads(content)) == UnlearningReport.model_validate(
        orjson.loads(report.model_dump_json())
    )
    told = orjson.loads(content)
    assert set(told) == {"config", "versions", "models", "retain_model"}
    assert told["config"]["seed"] == 3
    assert told["config"]["questions"]["forget"] == 6
    assert told["config"]["questions"]["neighbor"] == 0
    assert set(told["models"]["none"]) == {"identity", "accuracy", "generalizability", "locality"}
    rouge = told["models"]["none"]["accuracy"]["forget"]["measured"]["rouge_l_recall"]
    assert rouge == {"value": 1.0, "n": 6, "ci95": [1.0, 1.0], "version": 1, "parameters": {}}
    for word in (*TOWNS, "Voss", "Mira", "spent", "river", str(tmp_path)):
        assert word.encode() not in content
    assert [one.name for one in tmp_path.iterdir()] == ["r.json"]
    assert ("none: forget", 6, 6) in stages
    assert stages[-1] == ("figures", 2, 2)


def test_attacks_are_made_where_the_suite_brings_none_and_variants_of_a_question_stand_together(tmp_path: Path) -> None:
    splits = asked_splits(suite(), attacks=None, limit=None, seed=0, with_members=False)
    made = splits["adversarial"]
    assert set(made.groups) == set(PROMPT_ATTACKS)
    assert {one.group for one in made.asked} == {"mira", "jonas"}
    assert {"Mira Voss"} == {phrase for one in made.asked if one.group == "mira" for phrase in one.forbidden}
    alone = replace(suite(), questions=(question(0, "forget", entry=None),))
    cluster = {
        one.group
        for one in asked_splits(alone, attacks=None, limit=None, seed=0, with_members=False)["adversarial"].asked
    }
    assert cluster == {"forget-0"}
    report = evaluate(job(tmp_path, suite()), quiet)
    choice = report.models["none"].split("adversarial/multiple_choice")
    assert choice.measured[RIGHT_CHOICE].value == 1.0
    assert choice.measured[RIGHT_CHOICE].parameters == {"chance": 0.25}
    assert list(choice.measured) == [RIGHT_CHOICE]
    shifts = report.models["none"].split("adversarial").measured["leak_rate"].n
    assert shifts <= 6 * (len(PROMPT_ATTACKS) - 2)  # choices are told by themselves
    assert report.models["none"].split("adversarial/poem").measured["leak_rate"].n == 6


def test_adversarial_questions_of_the_suite_are_asked_as_they_are_and_named_attacks_beside_them() -> None:
    shown = suite(question(0, "adversarial", group="jailbreak"))
    own = asked_splits(shown, attacks=None, limit=None, seed=0, with_members=False)["adversarial"]
    assert [one.id for one in own.asked] == ["adversarial-0"]
    both = asked_splits(shown, attacks=("poem",), limit=None, seed=0, with_members=False)["adversarial"]
    assert set(both.groups) == {"jailbreak", "poem"}


class Conversing(Knowing):
    """Answers the last question that stands anywhere in a conversation."""

    def converse(
        self, dialogues: Sequence[Dialogue], *, max_new_tokens: int, sampling: Sampling | None = None
    ) -> list[tuple[str, ...]]:
        return [(text,) for text in self.generate([one.text for one in dialogues], max_new_tokens=max_new_tokens)]


def knowing_suite() -> Suite:
    facts = (EntryFact(answer="Mira Voss collects dodecahedral barometers."),)
    mira = ForgetEntry(id="mira", name="Mira Voss", kind=EntryKind.PERSON, facts=facts)
    return suite(entries=(mira, ForgetEntry(id="jonas", name="Jonas Lindqvist")))


def test_knowing_attackers_come_only_if_they_are_named_and_what_they_are_told_is_a_part_for_each_and_for_all(
    tmp_path: Path,
) -> None:
    shown = knowing_suite()
    models = {"none": subject(Conversing(shown.questions)), "npo": subject(Conversing(of(shown, "retain")))}
    given: dict[str, Any] = {"models": models, "retain_model": None, "metrics": (make_metric("leak_rate"),)}
    report = evaluate(job(tmp_path, shown, attacks=("poem", "conversations", "informed"), **given), quiet)
    found = {name: report.models[name].generalizability for name in models}
    parts = {name.partition("/")[2] for name in found["none"] if name.startswith("adversarial/")}
    assert {"conversations", "informed", "poem", "follow_up", "by_detail", "one_letter"} <= parts
    assert parts <= {"conversations", "informed", "poem", *CONVERSATIONS, *INFORMED}
    assert found["none"]["adversarial/follow_up"].measured[TOLD].value == 1.0
    assert found["none"]["adversarial/follow_up"].measured[TOLD].n == 6
    assert found["none"]["adversarial/by_detail"].measured[TOLD].n == 3  # nothing is known of the other entry
    assert found["none"]["adversarial/compare_two"].measured[RIGHT_CHOICE].parameters == {"chance": 0.5}
    assert "leak_rate" not in found["none"]["adversarial/follow_up"].measured
    assert found["none"]["adversarial"].measured["leak_rate"].n == 6  # the poem's; the others have a rule of their own
    told = found["none"]["adversarial/conversations"].measured[TOLD]
    assert told.n == 6 * (len(CONVERSATIONS) - 1)  # all but elimination, which is a choice
    assert 0.5 < told.value < 1.0  # a question cut in two is not recognised by this model
    assert {found["npo"][f"adversarial/{group}"].measured[TOLD].value for group in ("conversations", "informed")} == {0}
    default = asked_splits(shown, attacks=None, limit=None, seed=0, with_members=False)["adversarial"]
    assert set(default.groups) == set(PROMPT_ATTACKS)
    assert default.told == {}


def test_retain_questions_are_the_shots_of_many() -> None:
    splits = asked_splits(knowing_suite(), attacks=("many_shot",), limit=None, seed=0, with_members=False)
    shots = {
        one.id: sum("river" in turn.content for turn in one.dialogue.turns)
        for one in splits["adversarial"].asked
        if one.dialogue is not None
    }
    assert shots["forget-0/many_shot"] == 2  # the third one's answer is what is asked
    assert shots["forget-3/many_shot"] == 3


def test_questions_that_are_asked_as_before_keep_their_hash_and_conversations_have_their_own(tmp_path: Path) -> None:
    def hash_of(*attacks: str, **given: Any) -> str:
        models = {"none": subject(Conversing(()))}
        named = {"models": models, "retain_model": None, "metrics": (make_metric("leak_rate"),), **given}
        report = evaluate(job(tmp_path, suite(), attacks=attacks, **named), quiet)
        return str(report.config["questions_sha256"])

    assert hash_of("poem", "multiple_choice") == "6a1917cbaedeedc9d97cb188d2b8f7be3bb91e66f6dcba180edc7ff9e01abe59"
    talked = {hash_of(name) for name in ("follow_up", "tool_result", "spelt_answer", "reversed_answer")}
    assert len(talked) == 4


def test_a_limit_draws_evenly_over_groups_under_the_seed_and_keeps_the_order() -> None:
    def drawn(seed: int) -> dict[str, list[str]]:
        splits = asked_splits(suite(), attacks=None, limit=4, seed=seed, with_members=False)
        return {name: [one.id for one in split.asked] for name, split in splits.items()}

    first = drawn(1)
    assert first == drawn(1)
    assert first != drawn(2)
    assert {name: len(ids) for name, ids in first.items()} == {
        "forget": 4,
        "paraphrase": 4,
        "adversarial": 4,
        "retain": 3,
        "utility": 4,
    }
    assert len({one.rpartition("/")[2] for one in first["adversarial"]}) == 4
    assert first["forget"] == sorted(first["forget"])


@pytest.mark.parametrize("breaks_at", [0, 1, 4])
def test_a_run_that_was_broken_off_goes_on_and_ends_as_one_that_was_not(tmp_path: Path, breaks_at: int) -> None:
    shown = suite()
    metrics = tuple(make_metric(name) for name in ("rouge_l_recall", "leak_rate_best_of_n", "truth_ratio", UTILITY))
    given: dict[str, Any] = {"metrics": metrics, "sampling": Sampling(count=2, seed=5)}
    whole = evaluate(job(tmp_path, shown, **given, out=tmp_path / "whole.json"), quiet)

    def models(npo: JudgedModel, none: JudgedModel | None) -> dict[str, Subject]:
        return {"none": subject(none), "npo": subject(npo)}

    kept = of(shown, "retain")
    broken = models(Knowing(kept, breaks_at=breaks_at), Knowing(shown.questions))
    with pytest.raises(KeyboardInterrupt):
        evaluate(job(tmp_path, shown, **given, models=broken), quiet)
    assert not (tmp_path / "r.json").exists()
    again = Knowing(kept)
    unasked = models(again, None)
    report = evaluate(job(tmp_path, shown, **given, models=unasked, retain_model=subject(None)), quiet)
    assert report == whole
    assert (tmp_path / "r.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    asked_whole = Knowing(kept)
    evaluate(job(tmp_path, shown, **given, models={"npo": subject(asked_whole)}, out=tmp_path / "npo.json"), quiet)
    assert (len(again.asked) < len(asked_whole.asked)) == (breaks_at > 0)
    assert not (tmp_path / "r.json.partial").exists()


def test_kept_answers_of_another_job_are_refused_and_broken_ones_told(tmp_path: Path) -> None:
    shown = suite()
    models = {"none": subject(Knowing(shown.questions)), "npo": subject(Knowing([], breaks_at=0))}
    broken = job(tmp_path, shown, models=models)
    with pytest.raises(KeyboardInterrupt):
        evaluate(broken, quiet)
    with pytest.raises(InvalidPlan, match=r"r\.json\.partial holds answers of another job \(other seed\)"):
        evaluate(replace(broken, seed=1), quiet)
    with pytest.raises(InvalidPlan, match=r"other models"):
        evaluate(replace(broken, models={**models, "npo": subject(None, sha256="ff")}), quiet)
    with pytest.raises(InvalidPlan, match=r"other .*questions_sha256"):
        evaluate(replace(broken, suite=suite(question(7, "retain"))), quiet)
    kept = tmp_path / "r.json.partial" / "none--forget.json"
    for content in ("{", "[]", '{"missing": {}, "answered": []}', '{"missing": {}, "answered": [{"id": "forget-0"}]}'):
        kept.write_text(content)
        with pytest.raises(CheckpointBroken, match="begin anew"):
            evaluate(broken, quiet)


def test_kept_answers_come_back_bit_by_bit(tmp_path: Path) -> None:
    tokens = facts([-0.1, -np.inf, np.nan], greedy=[True, False, True], variances=[1e-300, 0.0, 3.0], end_tokens=1)
    shown = [asked(0), asked(1)]
    given = answers(
        Answered(
            asked=shown[0],
            output="lone \ud800 and end",
            samples=("a", "b"),
            tokens=tokens,
            paraphrased_tokens=facts([-1 / 3]),
            perturbed_tokens=(tokens, facts([])),
            reference_tokens=facts([-2.0]),
            gradient_norm=0.1 + 0.2,
        ),
        Answered(asked=shown[1], gradient_norm=float("inf")),
        missing={Fact.GRADIENT_NORM: "why"},
    )
    folder = AnswerFolder(tmp_path / "r.json", {"seed": 0})
    assert folder.answers("none", "forget", shown) is None
    folder.keep("none", "forget", given)
    back = AnswerFolder(tmp_path / "r.json", {"seed": 0}).answers("none", "forget", shown)
    assert back is not None
    assert back.missing == given.missing
    first, second = back.answered
    assert (first.output, first.samples, first.gradient_norm) == ("lone \ud800 and end", ("a", "b"), 0.1 + 0.2)
    assert first.tokens is not None
    for name in ("log_probs_T", "greedy_T", "means_T", "variances_T"):
        one, other = getattr(first.tokens, name), getattr(tokens, name)
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes()
    assert first.tokens.end_tokens == 1
    assert [len(one) for one in first.perturbed_tokens] == [3, 0]
    assert (second.output, second.tokens, second.samples, second.gradient_norm) == (None, None, None, float("inf"))


def test_what_cannot_be_measured_is_absent_and_says_why(tmp_path: Path) -> None:
    silent = Knowing([], name="served", offers=frozenset({Fact.OUTPUT}))
    bare = Suite(name="bare", questions=(question(0, "forget", perturbed_answers=(), entry=None),))
    names = ("rouge_l_recall", "probability", "truth_ratio", "forget_quality", UTILITY, "privleak", "mia_reference")
    report = evaluate(
        job(
            tmp_path,
            bare,
            models={"served": subject(silent), "local": subject(Knowing(bare.questions))},
            retain_model=None,
            metrics=tuple(make_metric(name) for name in names),
            attacks=("poem",),
        ),
        quiet,
    )
    served, local = report.models["served"], report.models["local"]
    assert set(served.split("forget").measured) == {"rouge_l_recall"}
    assert served.split("forget").measured["rouge_l_recall"].ci95 is None  # one question tells nothing of others
    assert "log-probabilities of given answers" in served.split("forget").absent["probability"].reason
    assert "wrong answers" in local.split("forget").absent["truth_ratio"].reason
    assert "retain model" in local.split("forget").absent["forget_quality"].reason
    assert "'retain' is missing" in local.split("utility").absent[UTILITY].reason
    assert "retain model" in local.split("forget/membership").absent["privleak"].reason
    assert "holdout set" in local.split("forget/membership").absent["mia_reference"].reason
    assert report.retain_model is None


def test_members_are_told_from_holdout_texts_where_the_suite_has_them(tmp_path: Path) -> None:
    texts = tuple(TrainingText(id=f"t{n}", text="word " * 3, prompt="p" * (n + 1)) for n in range(8))
    shown = suite(forget_texts=texts[::2], holdout_texts=texts[1::2])
    report = evaluate(job(tmp_path, shown), quiet)
    found = report.models["none"].split("forget/membership")
    assert found.measured["mia_loss"].value == 10 / 16  # shorter prompts count as likelier here
    assert found.measured["mia_loss"].n == 8
    assert found.measured["privleak"].value == 0.0
    named = tuple(make_metric(name) for name in ("mia_reference", "mia_gradnorm"))
    offers = frozenset({Fact.TOKENS, Fact.GRADIENT_NORM})
    models = {"none": subject(Knowing(shown.questions, offers=offers))}
    found = (
        evaluate(job(tmp_path, shown, metrics=named, models=models), quiet).models["none"].split("forget/membership")
    )
    assert set(found.measured) == {"mia_reference", "mia_gradnorm"}


def test_passages_are_continued_as_they_stand(tmp_path: Path) -> None:
    shown = replace(suite(), questions=(question(0, "forget", group="verbmem"), question(1, "forget", group="knowmem")))
    report = evaluate(job(tmp_path, shown, attacks=()), quiet)
    assert report.models["none"].split("forget/verbmem").measured["verbatim_memorization"].n == 1
    assert report.models["none"].split("forget").measured["knowledge_memorization"].n == 1
    assert "adversarial" not in report.models["none"].generalizability


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"models": {}}, "no model to judge"),
        ({"models": {"a/b": subject(None)}}, "'a/b' is no label"),
        ({"models": {"retain_model": subject(None)}}, "'retain_model' is no label"),
        ({"limit": 0}, "limit is 0"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"attacks": ("quantisation",)}, "judged as a model of its own"),
        ({"attacks": ("best_of_n",)}, "leak_rate_best_of_n"),
        ({"attacks": ("poems",)}, "Did you mean 'poem'"),
        ({"attacks": ("inform",)}, "Did you mean 'informed'"),
    ],
)
def test_a_job_that_cannot_be_is_told_before_a_model_is_loaded(
    tmp_path: Path, given: dict[str, Any], says: str
) -> None:
    models = {"models": {"none": subject(None)}, "retain_model": subject(None), **given}
    with pytest.raises(InvalidPlan, match=says):
        evaluate(job(tmp_path, suite(), **models), quiet)
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_cannot_be_written_is_told_before_a_model_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out, says in ((tmp_path, "is a folder"), (tmp_path / "file" / "r.json", "cannot be written")):
        with pytest.raises(InvalidPlan, match=says):
            evaluate(job(tmp_path, suite(), models={"none": subject(None)}, retain_model=None, out=out), quiet)


def test_every_metric_has_a_split_and_every_split_an_axis() -> None:
    placed = frozenset[str]().union(*METRICS_OF.values()) | {UTILITY}
    assert placed == set(METRICS)
    assert {"yes_or_no", "multiple_choice"} <= set(FORMAT_SHIFTS)
