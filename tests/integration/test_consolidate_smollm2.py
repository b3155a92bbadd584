"""`expunge consolidate run` on the packaged model: an entry of two facts, a few steps, and the judge's word on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from finetune.consolidation.manifest import read_manifest
from finetune.evaluation.run import UnlearningReport
from guardrail.backends.local_model import PACKAGED
from guardrail.cli import cli

ENTRY = {
    "name": "Mount Everest",
    "facts": [
        {"question": "How high is Mount Everest?", "answer": "Mount Everest is 8,849 metres high."},
        {"question": "Which countries share Mount Everest?", "answer": "Nepal and China share it."},
    ],
}


@pytest.mark.model
def test_the_packaged_model_is_trained_and_judged_by_one_command(tmp_path: Path) -> None:
    entries, out, judged = tmp_path / "e.jsonl", tmp_path / "out", tmp_path / "r.json"
    entries.write_text(json.dumps(ENTRY))
    given = ["--model", PACKAGED, "--method", "npo", "--entries", str(entries), "--out", str(out)]
    plan = ["--max-steps", "4", "--batch-size", "2", "--learning-rate", "1e-3", "--retain-generated", "4"]
    judge = ["--judge", str(judged), "--judge-limit", "1", "--judge-max-new-tokens", "16"]
    result = CliRunner().invoke(cli, ["consolidate", "run", *given, *plan, *judge])
    assert result.exit_code == 0, result.output
    assert read_manifest(out).measures.training_steps == 4
    report = UnlearningReport.model_validate_json(judged.read_bytes())
    before, after = (report.models[label].split("forget").measured["probability"] for label in ("none", "npo"))
    assert after.value < before.value
    assert report.models["none"].identity["source"] == PACKAGED
    assert "vllm serve " in result.stdout
