"""The consolidation bench from end to end with real models, in its smallest version."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import report
from finetune.evaluation.run import RETAIN, UNTOUCHED
from guardrail.cli import cli

pytestmark = pytest.mark.slow


def test_a_quick_run_measures_everything_writes_it_draws_it_and_says_that_it_was_quick(tmp_path: Path) -> None:
    out, picture, work = tmp_path / "r.json", tmp_path / "r.png", tmp_path / "work"
    given = ["bench", "consolidation", "--quick", "--out", str(out), "--plot", str(picture), "--work", str(work)]
    done = CliRunner().invoke(cli, given)
    assert done.exit_code == 0, done.output
    result = report.read(out)
    assert result.config["quick"] is True
    figures = result.figures
    for label in (UNTOUCHED, RETAIN, "npo"):
        assert {f"{label}_rouge", f"{label}_leak_rate", f"{label}_model_utility", f"{label}_ks_distance"} <= set(
            figures
        )
    assert figures[f"{UNTOUCHED}_leak_rate"] > figures[f"{RETAIN}_leak_rate"]
    assert {f"npo+{change}_leak_rate" for change in ("8-bit", "4-bit", "relearnt")} <= set(figures)
    assert figures["entry_seconds"] > figures["entry_training_seconds"] > 0
    assert figures["step_tokens_per_s_ratio"] > 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "| `npo` | " in done.output
    again = CliRunner().invoke(cli, [*given, "--json"])  # finished steps are kept
    assert again.exit_code == 0, again.output
    assert "training" not in again.stderr
