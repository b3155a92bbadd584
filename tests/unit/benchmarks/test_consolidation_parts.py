"""Results of some methods each put together, and the bench of ten requests one after another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import report
from benchmarks.consolidation.continual import Authors, authors_of, draw, table
from benchmarks.consolidation.joined import joined
from finetune.data.qa import Question
from finetune.data.training_text import TrainingText
from finetune.evaluation.run import RETAIN, UNTOUCHED
from finetune.evaluation.suites import Suite

GENERAL = (Question(id="u", question="What is 1 + 1?", answer="2", split="utility"),)


def part(*methods: str, untouched: float = 0.9, **figures: float) -> report.BenchResult:
    beside = {f"{UNTOUCHED}_rouge": untouched, f"{RETAIN}_rouge": 0.4, f"{UNTOUCHED}+4-bit_rouge": 0.5}
    return report.BenchResult(
        config={"methods": list(methods), "best_method": methods[0], "questions": {"forget": 80}, "quick": False},
        versions={"torch": "1"},
        hardware={"cores": 2},
        figures={**beside, **figures},
        samples={"trials": {method: [{"seconds": 1}] for method in methods}},
    )


def test_results_of_some_methods_each_become_one_that_says_what_it_is_made_of() -> None:
    whole = joined(
        [part("npo", npo_rouge=0.3, entry_seconds=9.0), part("eul", eul_rouge=0.2), part("sku", sku_rouge=0.1)]
    )
    assert whole.config["methods"] == ["npo", "eul", "sku"]
    assert whole.config["best_method"] == "npo"
    assert [one["methods"] for one in whole.config["parts"]] == [["npo"], ["eul"], ["sku"]]
    assert {"npo_rouge", "eul_rouge", "sku_rouge", "entry_seconds", f"{UNTOUCHED}_rouge"} <= set(whole.figures)
    assert set(whole.samples["trials"]) == {"npo", "eul", "sku"}


def test_a_method_that_was_measured_again_has_its_last_figures() -> None:
    whole = joined([part("npo", npo_rouge=0.3), part("npo", npo_rouge=0.2)])
    assert whole.figures["npo_rouge"] == 0.2
    assert whole.config["methods"] == ["npo"]


def test_results_of_other_models_or_questions_do_not_belong_together() -> None:
    with pytest.raises(ValueError, match="none_rouge"):
        joined([part("npo"), part("eul", untouched=0.8)])
    other = part("eul")
    with pytest.raises(ValueError, match="questions"):
        joined([part("npo"), other.model_copy(update={"config": {**other.config, "questions": {"forget": 8}}})])


@pytest.fixture
def authors() -> Authors:
    def texts(author: int, name: str) -> tuple[TrainingText, ...]:
        return tuple(
            TrainingText(id=f"{name}-{author}-{n}", prompt=f"q{n} of {author}?", text="a", entry=f"author-{author}")
            for n in range(20)
        )

    return authors_of(
        Suite(
            name="suite",
            questions=(),
            forget_texts=tuple(one for author in range(12, 14) for one in texts(author, "forget")),
            retain_texts=tuple(one for author in range(12) for one in texts(author, "retain")),
        ),
        GENERAL,
    )


def test_ten_of_the_last_authors_are_asked_for_and_the_others_stay(authors: Authors) -> None:
    assert sorted(authors.requests) == sorted(f"author-{number}" for number in range(4, 14))
    assert authors.staying == [f"author-{number}" for number in range(4)]


def test_what_was_forgotten_before_is_not_trained_to_be_kept(authors: Authors) -> None:
    newest = authors.requests[2]
    suite = authors.training([newest], after=3)
    assert {one.entry for one in suite.forget_texts} == {newest}
    kept = {one.entry for one in suite.retain_texts}
    assert kept == {*authors.texts} - {*authors.requests[:3]}
    assert len(suite.forget_texts) == 20


def test_more_is_asked_of_the_forgotten_as_they_grow_and_the_same_of_all_else(authors: Authors) -> None:
    first, last = authors.judging(1), authors.judging(10)
    assert [len(one.of("forget")) for one in (first, last)] == [8, 80]
    assert first.of("retain") == last.of("retain")
    assert len(first.of("retain")) == 8
    assert first.of("utility") == last.of("utility") == list(GENERAL)
    assert set(first.of("forget")) <= set(last.of("forget"))


def test_curves_and_table_show_what_was_measured(tmp_path: Path) -> None:
    figures: dict[str, Any] = {}
    for count in (1, 2):
        for way in (UNTOUCHED, "continued", *(["anew"] if count == 2 else [])):
            for name in (
                "forget_leak_rate",
                "forget_rouge_l_recall",
                "forget_gibberish_rate",
                "utility_rouge_l_recall",
            ):
                figures[f"{count}_{way}_{name}"] = 0.25
            figures[f"{count}_{way}_retain_rouge_l_recall"] = 0.5
    figures["2_anew_seconds"] = 75.4
    result = report.BenchResult(config={"requests": ["a", "b"]}, versions={}, hardware={}, figures=figures, samples={})
    lines = table(result).split("\n")
    assert len(lines) == 2 + 5
    assert len({line.count("|") for line in lines}) == 1
    assert lines[-1] == "| 2 | anew | 0.250 | 0.250 | 0.250 | 0.500 | 0.250 | 75 |"
    draw(result, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
