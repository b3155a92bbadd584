"""`expunge consolidate plan|start|status|schedule` and its words, on a data folder without a proxy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from guardrail.cli import cli
from retrieval.entry import parse_entry
from retrieval.plans import Cost, ModelPlan, PlanItem
from retrieval.registry import Registry
from retrieval.served_models import ServedModel


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "expunge.yaml"
    backend = {"name": "echo", "kind": "echo"}
    path.write_text(yaml.safe_dump({"retrieval": {"data_dir": str(tmp_path / "data")}, "backends": [backend]}))
    return path


def run(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["consolidate", *arguments, "--offline", "--config", str(config)])


def shown(config: Path, *arguments: str) -> Any:
    result = run(config, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def planned(config: Path, entries: Sequence[str] = ("ada",)) -> None:
    registry = Registry.open(config.parent / "data")
    registry.served_models.put(
        ServedModel(model="smollm2", backend="local", kind="transformers_local", modality="text", base="models/one")
    )
    items = []
    for name in entries:
        revision = registry.create(parse_entry({"id": name, "name": name}), actor="op").record.revision
        items.append(PlanItem(entry=name, revision=revision, is_due=True, is_covered=False, reason="persistent"))
    cost = Cost(seconds=240.0, measured_by="earlier runs")
    registry.plans.put(
        ModelPlan(model="smollm2", backend="local", modality="text", items=tuple(items), method="wga", cost=cost)
    )
    registry.close()


def test_the_plan_says_what_is_due_why_and_what_it_would_cost(config: Path) -> None:
    assert "expunge worker" in run(config, "plan").output
    planned(config)
    output = run(config, "plan").output
    assert "smollm2 on local, next method wga, about 4 min (by earlier runs)" in output
    assert "persistent" in output


def test_a_run_is_started_shown_and_cancelled(config: Path) -> None:
    planned(config)
    job = shown(config, "start", "--method", "npo", "--approval")
    assert (job["state"], job["due"]) == ("queued", {"ada": "persistent"})
    assert job["id"] in run(config, "status").output
    assert "ada: persistent" in run(config, "status", job["id"]).output
    assert shown(config, "cancel", job["id"])["state"] == "cancelled"
    again = run(config, "approve", job["id"])
    assert (again.exit_code, "waits for approval" in again.output) == (2, True)


def test_a_wrong_id_is_told_before_anything_is_asked(config: Path) -> None:
    result = run(config, "status", "ada")
    assert result.exit_code == 2
    assert "no job's id" in result.output


def test_the_schedule_is_changed_field_by_field_and_a_cron_switches_it_on(config: Path) -> None:
    first = shown(config, "schedule", "--cron", "30 2 * * *", "--timezone", "Europe/Berlin", "--hits", "5")
    assert (first["enabled"], first["cron"], first["rule"]["hits"]) == (True, "30 2 * * *", 5)
    second = shown(config, "schedule", "--canary", "0.1", "--off")
    assert (second["enabled"], second["cron"], second["canary_share"]) == (False, "30 2 * * *", 0.1)
    assert shown(config, "schedule") == second
    wrong = run(config, "schedule", "--cron", "nightly")
    assert (wrong.exit_code, "five fields" in wrong.output) == (2, True)
