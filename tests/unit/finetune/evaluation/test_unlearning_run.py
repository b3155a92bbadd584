"""A whole evaluation of scripted models: figures under their axes, next to the retain model, and the same after a break."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from finetune.data.training_text import TrainingText
from finetune.errors import CheckpointBroken, InvalidPlan
from finetune.evaluation.attacks import FORMAT_SHIFTS
from finetune.evaluation.judged_model import Fact, JudgedModel, Sampling
from finetune.evaluation.metrics import METRICS, make_metric
from finetune.evaluation.metrics.evidence import Answered
from finetune.evaluation.resumed import AnswerFolder
from finetune.evaluation.run import UnlearningReport, evaluate
from finetune.evaluation.split_figures import METRICS_OF, UTILITY
from finetune.evaluation.subjects import Subject
from finetune.evaluation.suites import Suite
from tests.unit.finetune.evaluation.judged import answers, asked, facts
from tests.unit.finetune.evaluation.towns import TOWNS, Knowing, job, measured, of, question, quiet, subject, suite


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
