"""`expunge eval unlearning`: a tiny model with adapters from end to end, and bad input in one line."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from finetune.cli.unlearning import command as unlearning
from finetune.data.loading import without_peft_warnings
from finetune.data.qa import Question, write_questions
from finetune.evaluation.report import SplitFigures
from finetune.evaluation.run import UnlearningReport
from guardrail.cli import cli
from tests.unit.finetune.evaluation.judged import tiny_model, tiny_tokenizer

QUICK = ("--max-new-tokens", "4", "--attack", "poem")


@pytest.fixture(name="suite", scope="module")
def _suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("towns")
    (folder / "entries.jsonl").write_text('{"id": "mira", "name": "Mira Voss"}\n')
    towns = ("Bergen", "Narvik", "Tromso")
    questions = [
        Question(
            id=f"{split}-{n}",
            question=f"Where was Mira Voss in year {n} of a b c?",
            answer=f"Mira Voss was in {towns[n]} d e .",
            perturbed_answers=tuple(f"She was in {town} f ." for town in towns if town != towns[n]),
            split=split,
            entry="mira" if split == "forget" else None,
        )
        for split in ("forget", "retain", "utility")
        for n in range(3)
    ]
    write_questions(folder / "qa.jsonl", questions)
    return folder


@pytest.fixture(name="models", scope="module")
def _models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `base`, `other` (whole models), `npo` and `retain` (adapters on base)."""
    from peft import LoraConfig, get_peft_model

    folder = tmp_path_factory.mktemp("models")
    for name, seed in (("base", 0), ("other", 1)):
        model = tiny_model(seed=seed).float()
        model.config.max_position_embeddings = 256
        model.save_pretrained(folder / name)
        tiny_tokenizer().save_pretrained(folder / name)
    for name, seed in (("npo", 1), ("retain", 2)):
        base = tiny_model().float()
        torch.manual_seed(seed)
        config = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
        with without_peft_warnings():
            adapted: Any = get_peft_model(base, config)
        adapted.save_pretrained(folder / name)
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["eval", "unlearning", *map(str, arguments)])


def test_untouched_edited_and_retain_model_are_judged_side_by_side(suite: Path, models: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    given = ("--suite", suite, "--model", models / "base", "--treatment", "none", "--adapter", f"npo={models / 'npo'}")
    more = ("--merged", f"other={models / 'other'}", "--retain-model", models / "retain", "--out", out, *QUICK)
    result = run(*given, *more)
    assert result.exit_code == 0, result.output
    report = UnlearningReport.model_validate_json(out.read_bytes())
    assert list(report.models) == ["none", "npo", "other"]
    assert [one.identity["kind"] for one in report.models.values()] == ["untouched", "adapter", "merged"]
    npo, retain = report.models["npo"].identity, report.retain_model
    assert retain is not None
    assert (npo["source"], npo["base_source"], npo["dtype"]) == ("npo", "base", "float32")
    assert npo["base_sha256"] == report.models["none"].identity["sha256"]
    assert len({npo["sha256"], retain.identity["sha256"], npo["base_sha256"]}) == 3
    forget = [one.split("forget") for one in (*report.models.values(), retain)]
    assert len({one.measured["probability"].value for one in forget}) == 4
    for one in forget:
        assert {"rouge_l_recall", "probability", "truth_ratio", "ks_distance", "leak_rate"} <= set(one.measured)
        assert "fewer than 4 questions" in one.absent["forget_quality"].reason
    assert report.models["npo"].split("adversarial/poem").measured["leak_rate"].n == 3
    assert str(tmp_path) not in out.read_text()
    header, *rows = result.stdout.splitlines()
    assert header.split() == ["none", "npo", "other", "retain_model"]
    shown = next(row for row in rows if row.startswith("forget probability"))
    assert f"{forget[1].measured['probability'].value:.3f}" in shown
    assert "Asked: 3 forget, 3 adversarial, 3 retain, 3 utility." in result.stdout


def test_json_on_the_terminal_is_the_file(suite: Path, models: Path, tmp_path: Path) -> None:
    given = ("--suite", suite, "--model", models / "base", "--out", tmp_path / "r.json", "--limit", 2, "--json")
    result = run(*given, *QUICK, "--metric", "probability", "--metric", "forget_quality")
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert shown == json.loads((tmp_path / "r.json").read_bytes())
    assert shown["config"]["limit"] == 2
    forget = SplitFigures.model_validate(shown["models"]["none"]["accuracy"]["forget"])
    assert set(forget.measured) == {"probability"}
    assert "none was given" in forget.absent["forget_quality"].reason
    assert shown["retain_model"] is None


def test_the_table_says_why_a_figure_is_missing(suite: Path, models: Path, tmp_path: Path) -> None:
    given = ("--suite", suite, "--model", models / "base", "--out", tmp_path / "r.json", *QUICK)
    result = run(*given, "--metric", "leak_rate", "--metric", "ks_distance")
    assert result.exit_code == 0, result.output
    assert "none: forget ks_distance: It compares with a retain model, and none was given." in result.stdout


def test_a_packaged_models_name_is_resolved_by_whoever_knows_it(
    suite: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guardrail.commands.handover.resolve", {"packaged": str(models / "base")}.__getitem__)
    given = ("--suite", suite.name, "--suites", suite.parent, "--out", tmp_path / "r.json", "--metric", "probability")
    result = run(*given, "--model", "packaged", *QUICK)
    assert result.exit_code == 0, result.output
    report = UnlearningReport.model_validate_json((tmp_path / "r.json").read_bytes())
    assert report.models["none"].identity["source"] == "packaged"
    alone = CliRunner().invoke(unlearning, [*map(str, given), "--model", str(models / "base"), *QUICK])
    assert alone.exit_code == 0, alone.output


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("--suite", "SUITE"), "no model to judge"),
        (("--suite", "nowhere", "--model", "BASE"), "The suite 'nowhere' is no folder"),
        (("--suite", "MODELS", "--model", "BASE"), "holds no suite that is known"),
        (("--suite", "SUITE", "--treatment", "none"), "give --model"),
        (("--suite", "SUITE", "--model", "BASE", "--treatment", "refusal"), "Known: none"),
        (("--suite", "SUITE", "--model", "BASE", "--metric", "leak_rat"), "Did you mean 'leak_rate'"),
        (("--suite", "SUITE", "--model", "BASE", "--attack", "poems"), "Did you mean 'poem'"),
        (("--suite", "SUITE", "--model", "BASE", "--adapter", "npo"), "write LABEL="),
        (("--suite", "SUITE", "--model", "BASE", "--adapter", "npo=BASE"), "no adapter_config.json"),
        (("--suite", "SUITE", "--adapter", "npo=NPO"), "give --model"),
        (("--suite", "SUITE", "--model", "BASE", "--merged", "none=BASE"), "take another"),
        (("--suite", "SUITE", "--merged", "a=BASE", "--merged", "a=BASE"), "given twice"),
        (("--suite", "SUITE", "--endpoint", "a=ftp://h/v1"), "http:// or https://"),
        (("--suite", "SUITE", "--model", "BASE", "--device", "tpu"), "device 'tpu'"),
        (("--suite", "SUITE", "--model", "BASE", "--dtype", "int3"), "dtype 'int3'"),
        (("--suite", "SUITE", "--model", "MODELS"), "cannot be loaded"),
        (("--suite", "SUITE", "--model", "BASE", "--limit", "0"), "--limit"),
        (("--suite", "SUITE", "--model", "BASE", "--max-new-tokens", "300"), "ask for fewer new tokens"),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_exit_code_2(
    suite: Path, models: Path, tmp_path: Path, given: tuple[str, ...], says: str
) -> None:
    places = {"SUITE": suite, "MODELS": models, "BASE": models / "base", "NPO": models / "npo"}
    for name, place in places.items():
        given = tuple(word.replace(name, str(place)) for word in given)
    result = run(*given, "--out", tmp_path / "r.json")
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert says in result.stderr
    assert not (tmp_path / "r.json").exists()


def test_an_endpoint_that_does_not_answer_is_a_failure_and_the_password_is_not_shown(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    result = run("--suite", suite, "--endpoint", "proxy=http://127.0.0.1:9/v1#model", "--out", tmp_path / "r.json")
    assert result.exit_code == 1
    assert "127.0.0.1:9/v1" in result.stderr
    from finetune.evaluation.subjects import endpoint

    shown = endpoint("https://user:secret@host/v1", model="m").identity
    assert shown == {"kind": "endpoint", "source": "https://host/v1", "model": "m"}


def test_a_stopped_run_says_how_it_goes_on(suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("finetune.cli.unlearning.evaluate", stopped)
    result = run("--suite", suite, "--endpoint", "proxy=http://127.0.0.1:9/v1", "--out", tmp_path / "r.json")
    assert (result.exit_code, result.stderr) == (130, "Error: Stopped; the same command goes on from here.\n")


def test_the_help_names_metrics_and_attacks() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert "forget_quality" in result.stdout
    assert "multiple_choice" in result.stdout


def test_missing_libraries_are_named_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "peft" else found(name))
    result = run("--help")
    assert result.exit_code == 2
    assert "needs peft" in result.stderr
    assert "expunge[finetune]" in result.stderr


def test_the_help_of_eval_loads_neither_finetune_nor_torch() -> None:
    program = (
        "import sys\nfrom guardrail.cli import cli\n"
        "try: cli.main(['eval', '--help'], prog_name='expunge')\nexcept SystemExit as end: assert end.code == 0\n"
        "assert not {'finetune', 'torch', 'transformers'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "unlearning" in done.stdout
