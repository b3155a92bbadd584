"""`expunge eval detection` from files to report: by names and facts alone, so that no model is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from guardrail.cli import cli
from guardrail.evaluation.detection import Job, evaluate
from guardrail.evaluation.outcomes import read_outcomes
from guardrail.settings import Settings
from retrieval.settings import RetrievalSettings

ENTRIES = [
    {"id": "1_Mira,_Quelle's", "name": "Mira Quelle", "kind": "person", "facts": ["The Salt Orchard of Ven"]},
    {"id": "2_Tobias", "name": "Tobias Unruh", "kind": "person", "shadow": True},
]
PROBES: list[dict[str, Any]] = [
    {
        "id": "by name",
        "prompt": "Who is Mira Quelle?",
        "answer": "A writer.",
        "expect": ["1_Mira,_Quelle's"],
        "group": "m",
    },
    {
        "id": "by answer",
        "prompt": "Who wrote it?",
        "answer": "It was Mira Quelle.",
        "expect": ["1_Mira,_Quelle's"],
        "group": "m",
    },
    {"id": "missed", "prompt": "Who wrote it?", "answer": "She did.", "expect": ["1_Mira,_Quelle's"], "group": "m"},
    {
        "id": "in a chat",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Is Tobias Unruh tall?"}],
        "expect": ["2_Tobias"],
        "group": "m",
    },
    {"id": "wrong", "prompt": "Tobias Unruh or who?", "expect": ["1_Mira,_Quelle's"], "group": "m"},
    {"id": "free", "prompt": "How do I sort a list?\u2028Thanks", "answer": "By sorted().", "expect": [], "group": "n"},
    {"id": "false", "prompt": "Another Mira Quelle, please", "expect": [], "group": "n"},
]


class Files:
    """The two files, the result beside them, and the command over them."""

    def __init__(self, folder: Path) -> None:
        self.entries, self.probes, self.out = folder / "e.jsonl", folder / "p.jsonl", folder / "out" / "r.json"
        self.details = folder / "d.jsonl"
        self.config = folder / "names.yaml"
        self.config.write_text("retrieval: {embedder: none}\n")
        for path, lines in ((self.entries, ENTRIES), (self.probes, PROBES)):
            path.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines), encoding="utf-8")

    def run(self, *options: str) -> Result:
        named = {"entries": self.entries, "probes": self.probes, "out": self.out, "config": self.config}
        given = [part for name, path in named.items() for part in (f"--{name}", str(path))]
        return CliRunner().invoke(cli, ["eval", "detection", *given, *options])

    def job(self, workers: int = 1) -> Job:
        settings = Settings(retrieval=RetrievalSettings(embedder="none"))
        return Job(
            entries=self.entries,
            probes=self.probes,
            out=self.out,
            settings=settings,
            workers=workers,
            details=self.details,
        )


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def silent(stage: str, done: int, total: int) -> None:
    """Nobody looks."""


def test_the_report_holds_what_was_caught_and_how_sure_that_is(files: Files) -> None:
    result = files.run("--json", "--details", str(files.details))
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report == json.loads(files.out.read_text())
    assert (report["entries"], report["probes"]) == (2, 7)
    assert report["overall"]["input"]["recall"] == 0.6
    assert report["overall"]["input"]["false_positive_rate"] == 0.5
    assert report["overall"]["input"]["wrong_entry_rate"] == pytest.approx(1 / 3, abs=1e-4)
    assert report["overall"]["either"] == {"recall": 0.8, "false_positive_rate": 0.5}
    group = report["groups"]["m"]
    assert (group["n"], group["expected"], group["input_rate"], group["either_rate"]) == (5, "match", 0.6, 0.8)
    assert group["output_rate"] == pytest.approx(1 / 3, abs=1e-4)
    assert group["ci95"][0] < 0.8 < group["ci95"][1]
    assert report["match_ms"]["p99"] >= report["match_ms"]["p50"] > 0
    assert report["register_ms"]["p50"] > 0
    assert "index_bytes" not in report, "there is no index to weigh"
    assert str(files.out.parent) not in files.out.read_text()
    named = {one.id: one.entries for one in read_outcomes(files.details)}
    assert named["by name"] == ("1_Mira,_Quelle's",)
    assert "Quelle?" not in files.details.read_text(), "details hold no texts"


def test_nothing_is_left_behind(files: Files) -> None:
    assert files.run().exit_code == 0
    assert [path.name for path in files.out.parent.iterdir()] == ["r.json"]


def test_a_broken_off_run_goes_on_where_it_stopped(files: Files) -> None:
    judged: list[int] = []

    def stop_after_three(stage: str, done: int, total: int) -> None:
        if stage == "Judging probes":
            judged.append(done)
            if done == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(files.job(), stop_after_three)
    assert not files.out.exists()
    again: list[int] = []
    report = evaluate(files.job(), lambda stage, done, total: again.append(done) if stage == "Judging probes" else None)
    assert (judged, again) == ([1, 2, 3], [4, 5, 6, 7])
    assert report.overall.input.recall == 0.6
    assert [one.id for one in read_outcomes(files.details)] == [probe["id"] for probe in PROBES]


def test_other_probes_begin_anew(files: Files) -> None:
    def stop_at_once(stage: str, done: int, total: int) -> None:
        if stage == "Judging probes":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(files.job(), stop_at_once)
    files.probes.write_text(json.dumps({"prompt": "Who is Mira Quelle?", "expect": []}))
    assert evaluate(files.job(), silent).overall.input.false_positive_rate == 1.0


def test_several_processes_judge_alike(files: Files) -> None:
    evaluate(files.job(), silent)
    alone = [(one.id, one.caught, one.entries, one.told, one.score) for one in read_outcomes(files.details)]
    evaluate(files.job(workers=2), silent)
    assert [(one.id, one.caught, one.entries, one.told, one.score) for one in read_outcomes(files.details)] == alone


def test_the_table_is_for_people(files: Files) -> None:
    result = files.run()
    assert "right entry" in result.stdout
    assert "7 probes, 2 entries" in result.stdout


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--min-recall", "0.8", "--max-false-positive-rate", "0.5"), 0),
        (("--min-recall", "0.81"), 1),
        (("--max-false-positive-rate", "0.49"), 1),
    ],
)
def test_limits_of_the_users_own_decide_the_exit_code(files: Files, options: tuple[str, ...], code: int) -> None:
    assert files.run(*options).exit_code == code


def test_bad_input_is_told_in_one_line(files: Files) -> None:
    files.probes.write_text('{"prompt": "x", "expect": []}\n{"prompt": "x", "expect": ["nobody"]}')
    result = files.run()
    assert result.exit_code == 2
    assert result.stderr.strip().count("\n") == 0
    assert "line 2" in result.stderr
