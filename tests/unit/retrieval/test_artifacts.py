"""Weights that consolidation made: what may serve, what serves, and the way back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retrieval.artifacts import Artifact, Artifacts, ArtifactState, Made, Verdict
from retrieval.entry import EntryState, parse_entry
from retrieval.errors import ArtifactNotFound, JobConflict
from retrieval.registry import Registry

MADE = Made(
    form="adapter",
    folder=Path("runs/one"),
    manifest_sha256="ab" * 32,
    base="cd" * 32,
    method="wga",
    covers={"ada": 3},
)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry.open(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def weights(registry: Registry) -> Artifacts:
    return registry.artifacts


def approved(weights: Artifacts, job: str, model: str = "smollm2", **fields: Any) -> Artifact:
    made = weights.propose(model, job, replace(MADE, folder=Path("runs") / job, **fields))
    return weights.decide(made.id, approved=True, verdict=Verdict(), actor="gate")


def test_weights_are_kept_as_they_were_made_and_counted_by_model(weights: Artifacts) -> None:
    first = weights.propose("smollm2", "cj_1", MADE)
    assert weights.get(first.id) == first
    assert (first.made, first.version, first.state) == (MADE, 1, ArtifactState.PROPOSED)
    assert weights.propose("smollm2", "cj_2", MADE).version == 2
    assert weights.propose("other", "cj_3", MADE).version == 1
    assert [one.version for one in weights.of_model("smollm2")] == [1, 2]
    with pytest.raises(ArtifactNotFound):
        weights.get("wa_unknown")


def test_a_worker_that_says_it_again_proposes_nothing_new(weights: Artifacts) -> None:
    first = weights.propose("smollm2", "cj_1", MADE)
    assert weights.propose("smollm2", "cj_1", MADE) == first
    other = weights.propose("smollm2", "cj_1", replace(MADE, manifest_sha256="00" * 32))
    assert other.version == 2


def test_only_approved_weights_of_the_model_can_serve(weights: Artifacts) -> None:
    made = weights.propose("smollm2", "cj_1", MADE)
    with pytest.raises(JobConflict, match="proposed"):
        weights.serve("smollm2", made.id, actor="worker")
    weights.decide(made.id, approved=False, verdict=Verdict(reasons=("leaks 12 %",)), actor="gate")
    with pytest.raises(JobConflict, match="rejected"):
        weights.serve("smollm2", made.id, actor="worker")
    with pytest.raises(JobConflict, match="of 'smollm2'"):
        weights.serve("other", approved(weights, "cj_2").id, actor="worker")
    assert weights.served("smollm2").artifact_id is None
    assert weights.get(made.id).verdict.reasons == ("leaks 12 %",)


def test_a_switch_is_told_to_every_process_and_can_be_taken_back(registry: Registry, weights: Artifacts) -> None:
    first, second = approved(weights, "cj_1"), approved(weights, "cj_2")
    before = registry.signal.read()
    weights.serve("smollm2", first.id, actor="worker")
    assert registry.signal.read() == weights.served("smollm2").seq > before
    served = weights.serve("smollm2", second.id, actor="worker")
    assert (served.artifact_id, served.previous_id) == (second.id, first.id)
    assert weights.get(first.id).state is ArtifactState.SUPERSEDED
    back = weights.roll_back("smollm2", actor="op")
    assert (back.artifact_id, back.seq > served.seq) == (first.id, True)
    assert weights.get(second.id).state is ArtifactState.ROLLED_BACK
    assert weights.get(first.id).state is ArtifactState.SERVING
    assert weights.roll_back("smollm2", actor="op").artifact_id is None
    with pytest.raises(JobConflict, match="nothing to roll back"):
        weights.roll_back("smollm2", actor="op")


def test_the_same_switch_again_changes_nothing(weights: Artifacts) -> None:
    first = approved(weights, "cj_1")
    served = weights.serve("smollm2", first.id, actor="worker")
    assert weights.serve("smollm2", first.id, actor="worker") == served
    assert weights.serve("smollm2", None, actor="op").artifact_id is None


def test_a_canary_takes_a_share_until_it_is_promoted_or_ended(weights: Artifacts) -> None:
    first, second = approved(weights, "cj_1"), approved(weights, "cj_2")
    weights.serve("smollm2", first.id, actor="worker")
    canary = weights.serve("smollm2", second.id, actor="worker", canary_share=0.1)
    assert (canary.artifact_id, canary.canary_id, canary.canary_share) == (first.id, second.id, 0.1)
    assert weights.get(first.id).state is weights.get(second.id).state is ArtifactState.SERVING
    ended = weights.roll_back("smollm2", actor="op")
    assert (ended.artifact_id, ended.canary_id) == (first.id, None)
    weights.serve("smollm2", second.id, actor="worker", canary_share=0.5)
    promoted = weights.serve("smollm2", second.id, actor="worker")
    assert (promoted.artifact_id, promoted.previous_id, promoted.canary_id) == (second.id, first.id, None)
    with pytest.raises(JobConflict, match="canary_share"):
        weights.serve("smollm2", first.id, actor="worker", canary_share=0)


def test_what_serves_survives_a_restart(registry: Registry, weights: Artifacts, tmp_path: Path) -> None:
    served = weights.serve("smollm2", approved(weights, "cj_1").id, actor="worker")
    again = Registry.open(tmp_path / "data")
    assert again.artifacts.all_served() == [served]
    again.close()


def test_weights_that_served_are_not_decided_on_again(weights: Artifacts) -> None:
    first = approved(weights, "cj_1")
    weights.serve("smollm2", first.id, actor="worker")
    with pytest.raises(JobConflict, match="serving"):
        weights.decide(first.id, approved=False, verdict=Verdict(), actor="op")


def test_processes_say_what_they_have_made_of_a_switch(weights: Artifacts) -> None:
    weights.acknowledge("r1", "smollm2", seq=4, is_done=False, detail="no such folder")
    weights.acknowledge("r1", "smollm2", seq=5, is_done=True)
    weights.acknowledge("r2", "smollm2", seq=4, is_done=True)
    assert [(one.replica, one.seq, one.is_done) for one in weights.replicas("smollm2")] == [
        ("r1", 5, True),
        ("r2", 4, True),
    ]
    assert weights.replicas("smollm2", span_s=-1) == []
    assert weights.replicas("other") == []


def test_entries_are_marked_at_the_revision_that_weights_cover(registry: Registry) -> None:
    ada, bob = (registry.create(parse_entry({"id": one, "name": one}), actor="op").record for one in ("ada", "bob"))
    before = registry.seq()
    marked = registry.mark_weights({"ada": ada.revision, "bob": 99, "eve": 1}, EntryState.CONSOLIDATED, actor="worker")
    assert [one.id for one in marked] == ["ada"]
    assert registry.get("ada").state() is EntryState.CONSOLIDATED
    assert registry.get("ada").revision == ada.revision
    assert registry.get("bob").state() is EntryState.SUPPRESSED
    assert [change.record.id for change in registry.changes_since(before)] == ["ada"]
    assert registry.list(state=EntryState.CONSOLIDATED).items[0].id == "ada"
    registry.mark_weights({"ada": ada.revision}, EntryState.CONSOLIDATED, actor="worker")
    assert registry.seq() == before + 1
    assert bob.id == "bob"


@pytest.mark.parametrize("change", ["revise", "revoke"])
def test_an_entry_that_says_something_else_is_suppressed_again(registry: Registry, change: str) -> None:
    ada = registry.create(parse_entry({"id": "ada", "name": "Ada"}), actor="op").record
    registry.mark_weights({"ada": ada.revision}, EntryState.VERIFIED, actor="worker")
    if change == "revise":
        assert registry.revise("ada", {"aliases": ["A."]}, actor="op").state() is EntryState.SUPPRESSED
    else:
        registry.revoke("ada", actor="op")
    assert registry.get("ada").weights is None
