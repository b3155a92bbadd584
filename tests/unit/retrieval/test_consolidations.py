"""Marks of entries follow what serves; weights whose files changed are not what was approved."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from retrieval.artifact_files import check_files
from retrieval.artifacts import Artifact, Made, Verdict
from retrieval.consolidations import begin, publish, refusals, roll_back
from retrieval.coverage import covered_by, settle
from retrieval.entry import EntryState, parse_entry
from retrieval.errors import JobConflict, WeightsChanged
from retrieval.plans import ModelPlan, PlanItem
from retrieval.registry import Registry
from retrieval.schedule import Schedule
from retrieval.served_models import ServedModel


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry.open(tmp_path / "data")
    opened.served_models.put(
        ServedModel(model="smollm2", backend="local", kind="transformers_local", modality="text", base="models/one")
    )
    yield opened
    opened.close()


def entry(registry: Registry, entry_id: str) -> int:
    return registry.create(parse_entry({"id": entry_id, "name": entry_id}), actor="op").record.revision


def weights(registry: Registry, job: str, *, approved: bool = True, model: str = "smollm2", **covers: int) -> Artifact:
    made = Made(form="adapter", folder=Path("runs") / job, manifest_sha256="ab", base="cd", method="wga", covers=covers)
    artifact = registry.artifacts.propose(model, job, made)
    return registry.artifacts.decide(artifact.id, approved=approved, verdict=Verdict(), actor="gate")


def states(registry: Registry) -> dict[str, str]:
    return {record.id: record.state().value for record in registry.list().items}


def test_entries_are_marked_by_what_serves_and_suppressed_when_it_does_not(registry: Registry) -> None:
    ada, bob = entry(registry, "ada"), entry(registry, "bob")
    publish(registry, weights(registry, "cj_1", ada=ada), actor="op")
    publish(registry, weights(registry, "cj_2", ada=ada, bob=bob), actor="op")
    assert states(registry) == {"ada": "consolidated", "bob": "consolidated"}
    assert covered_by(registry, "smollm2") == {"ada": ada, "bob": bob}
    roll_back(registry, "smollm2", actor="op")
    assert states(registry) == {"ada": "consolidated", "bob": "suppressed"}


def test_a_verified_entry_stays_so_while_the_same_revision_is_covered(registry: Registry) -> None:
    ada = entry(registry, "ada")
    publish(registry, weights(registry, "cj_1", ada=ada), actor="op")
    registry.mark_weights({"ada": ada}, EntryState.VERIFIED, actor="verification")
    settle(registry, actor="op")
    assert states(registry) == {"ada": "verified"}
    roll_back(registry, "smollm2", actor="op")
    assert states(registry) == {"ada": "suppressed"}


def test_an_older_revision_or_a_canary_covers_nothing(registry: Registry) -> None:
    ada = entry(registry, "ada")
    registry.revise("ada", {"aliases": ["A."]}, actor="op")
    publish(registry, weights(registry, "cj_1", ada=ada), actor="op")
    assert states(registry) == {"ada": "suppressed"}
    bob = entry(registry, "bob")
    registry.artifacts.serve("smollm2", weights(registry, "cj_2", bob=bob).id, actor="op", canary_share=0.1)
    settle(registry, actor="op")
    assert states(registry)["bob"] == "suppressed"


def test_weights_of_one_model_keep_an_entry_marked_that_another_model_lets_go_of(registry: Registry) -> None:
    ada = entry(registry, "ada")
    publish(registry, weights(registry, "cj_1", ada=ada), actor="op")
    publish(registry, weights(registry, "cj_2", model="other", ada=ada), actor="op")
    roll_back(registry, "other", actor="op")
    assert states(registry) == {"ada": "consolidated"}


def test_refused_weights_count_for_the_entries_at_their_revisions(registry: Registry) -> None:
    weights(registry, "cj_1", approved=False, ada=3)
    weights(registry, "cj_2", approved=False, ada=3, bob=1)
    weights(registry, "cj_3", ada=3)
    assert refusals(registry, "smollm2") == {("ada", 3): 2, ("bob", 1): 1}


def test_a_job_takes_up_where_the_ladder_is_and_what_was_covered(registry: Registry) -> None:
    weights(registry, "cj_1", approved=False, ada=1)
    items = (
        PlanItem(entry="ada", revision=1, is_due=True, is_covered=False, reason="persistent"),
        PlanItem(entry="bob", revision=2, is_due=False, is_covered=True, reason="covered"),
    )
    plan = ModelPlan(model="smollm2", backend="local", modality="text", items=items, method="wga", cost=None)
    job = begin(registry, plan, schedule=Schedule(needs_approval=True), actor="schedule")
    assert job.request["rung"] == 1
    assert job.request["entries"] == {"ada": 1, "bob": 2}
    assert job.request["due"] == {"ada": "persistent"}
    assert job.request["needs_approval"] is True
    with pytest.raises(JobConflict, match="Nothing is due"):
        begin(registry, plan.model_copy(update={"items": items[1:]}), schedule=Schedule(), actor="schedule")


@pytest.mark.parametrize("change", ["none", "changed", "missing", "added", "manifest"])
def test_files_are_held_against_the_manifest_that_was_approved(change: str, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "weights").write_bytes(b"weights")
    listed = {"adapter/weights": {"sha256": hashlib.sha256(b"weights").hexdigest(), "size_bytes": 7}}
    manifest = orjson.dumps({"files": listed})
    (tmp_path / "manifest.json").write_bytes(manifest)
    made = Made(
        form="adapter",
        folder=folder,
        manifest_sha256=hashlib.sha256(manifest).hexdigest(),
        base="cd",
        method="wga",
        covers={},
    )
    match change:
        case "changed":
            (folder / "weights").write_bytes(b"weightz")
        case "missing":
            (folder / "weights").unlink()
        case "added":
            (folder / "more").write_bytes(b"x")
        case "manifest":
            (tmp_path / "manifest.json").write_bytes(manifest + b" ")
        case _:
            check_files(made)
            return
    with pytest.raises(WeightsChanged):
        check_files(made)
