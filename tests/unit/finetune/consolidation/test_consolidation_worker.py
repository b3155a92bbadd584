"""A worker carries a job from entries to serving weights, whatever happens in between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from finetune.consolidation.job_steps import StepSettings
from finetune.consolidation.order import ORDER
from finetune.consolidation.worker import Worker, WorkerSettings
from retrieval.artifacts import ArtifactState
from retrieval.entry import EntryState, parse_entry
from retrieval.jobs import Job, JobState, Step
from retrieval.registry import Registry
from retrieval.schedule import Schedule
from retrieval.served_models import ServedModel
from retrieval.stores.tables import consolidation_jobs
from retrieval.stores.timestamps import to_text
from tests.fakes.launched_jobs import FakeLauncher

SECRET = "was born in the village of Vester Vedsted"
SMOLLM2 = ServedModel(model="smollm2", backend="local", kind="transformers_local", modality="text", base="models/one")


@dataclass
class World:
    """A registry with a worker; a proxy follows every switch while `follows`."""

    registry: Registry
    launcher: FakeLauncher
    data_dir: Path
    said: list[str]
    follows: bool = True
    detail: str = ""

    def worker(self, **settings: Any) -> Worker:
        steps = StepSettings(data_dir=self.data_dir, publish_s=0.5)
        chosen = WorkerSettings(**{"steps": steps, "plan_every_s": 0.0, **settings})
        return Worker(self.registry, chosen, launcher=self.launcher, say=self.said.append)

    def register(self, entry_id: str = "ada", **fields: Any) -> int:
        body = {"id": entry_id, "name": f"{entry_id} example", "facts": [SECRET], "persistence": "persistent", **fields}
        return self.registry.create(parse_entry(body), actor="op").record.revision

    def fire(self, **fields: Any) -> None:
        """The schedule's minute has come."""
        self.registry.schedules.put(Schedule(**{"enabled": True, "cron": "* * * * *", **fields}), actor="op")
        with self.registry._database.write() as connection:
            from retrieval.stores import named_rows

            named_rows.write(connection, "fired", {"at": to_text(datetime.now(UTC) - timedelta(hours=1))})

    def due_now(self) -> None:
        with self.registry._database.write() as connection:
            connection.execute(update(consolidation_jobs).values(not_before=None))

    def job(self) -> Job:
        return self.registry.jobs.list().items[0]

    def acknowledge(self) -> None:
        served = self.registry.artifacts.served("smollm2")
        self.registry.artifacts.acknowledge(
            "r1", "smollm2", seq=served.seq, is_done=not self.detail, detail=self.detail
        )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    registry = Registry.open(tmp_path / "data")
    registry.served_models.put(SMOLLM2)
    made = World(registry=registry, launcher=FakeLauncher(), data_dir=tmp_path / "data", said=[])
    ended = threading.Event()

    def follow() -> None:
        while not ended.wait(0.05):
            if made.follows:
                made.acknowledge()

    proxy = threading.Thread(target=follow, daemon=True)
    proxy.start()
    yield made
    ended.set()
    proxy.join()
    registry.close()


def everything_below(folder: Path) -> str:
    return "".join(one.read_text(errors="replace") for one in folder.rglob("*") if one.is_file())


def test_an_entry_that_is_due_gets_into_the_weights_by_itself(world: World) -> None:
    revision = world.register()
    world.fire()
    job = world.worker().once()
    assert job is not None
    assert (job.state, job.attempts) == (JobState.DONE, 1)
    served = world.registry.artifacts.served("smollm2")
    artifact = world.registry.artifacts.get(str(served.artifact_id))
    assert (artifact.state, artifact.made.covers) == (ArtifactState.SERVING, {"ada": revision})
    assert world.registry.get("ada").state() is EntryState.CONSOLIDATED
    assert world.launcher.orders[0].method == "wga"
    assert world.launcher.orders[0].entries[0].entry.facts[0].answer == SECRET


def test_no_text_of_an_entry_is_left_behind_or_told(world: World) -> None:
    world.register()
    world.fire()
    world.worker().once()
    left = everything_below(world.data_dir / "consolidation")
    assert SECRET not in left
    assert "ada example" not in left
    assert not list(world.data_dir.rglob(ORDER))
    assert not any(SECRET in line or "example" in line for line in world.said)
    records = world.registry.audit.page(limit=1000).items
    assert not any(SECRET in str(record.data) for record in records)


def test_where_nothing_is_due_nothing_is_begun_but_the_plan_is_there(world: World) -> None:
    world.register(persistence="auto")
    world.register("bob", persistence="temporary")
    world.fire()
    assert world.worker().once() is None
    (plan,) = world.registry.plans.all()
    assert [(item.entry, item.is_due) for item in plan.items] == [("ada", False), ("bob", False)]
    assert world.registry.jobs.list().items == ()


def test_the_next_run_covers_what_the_last_one_did(world: World) -> None:
    first = world.register()
    world.fire()
    worker = world.worker()
    worker.once()
    second = world.register("bob")
    world.fire()
    job = worker.once()
    assert job is not None
    assert job.request["due"] == {"bob": "persistent"}
    assert {one.entry.id for one in world.launcher.orders[1].entries} == {"ada", "bob"}
    serving = world.registry.artifacts.get(str(world.registry.artifacts.served("smollm2").artifact_id))
    assert (serving.version, serving.made.covers) == (2, {"ada": first, "bob": second})
    assert world.registry.get("ada").state() is world.registry.get("bob").state() is EntryState.CONSOLIDATED


def test_what_the_gate_refuses_is_not_published_and_is_tried_by_the_next_method(world: World) -> None:
    world.launcher = FakeLauncher(leaks=(0.5, 0.5, 0.5, 0.02))
    world.register()
    worker = world.worker()
    for _ in range(3):
        world.fire()
        job = worker.once()
        assert job is not None
        assert job.state is JobState.REJECTED
        assert "leaks in 50.0%" in job.error
        assert world.registry.artifacts.served("smollm2").artifact_id is None
        assert world.registry.get("ada").state() is EntryState.SUPPRESSED
    assert [(one.method, one.edit_scale) for one in world.launcher.orders] == [
        ("wga", 0.75),
        ("wga", 1.0),
        ("undial", 1.0),
    ]
    world.fire()
    assert worker.once() is None
    assert "no other method is left" in world.registry.plans.all()[0].items[0].reason


def test_a_person_has_the_last_word_where_the_schedule_says_so(world: World) -> None:
    world.register()
    world.fire(needs_approval=True)
    worker = world.worker()
    waiting = worker.once()
    assert waiting is not None
    assert waiting.state is JobState.WAITING
    assert worker.once() is None
    assert world.registry.artifacts.served("smollm2").artifact_id is None
    world.registry.jobs.decide(waiting.id, approved=True, actor="ann")
    done = worker.once()
    assert done is not None
    assert done.state is JobState.DONE
    assert len(world.launcher.orders) == 1
    assert world.registry.artifacts.served("smollm2").artifact_id == waiting.artifact_id


def test_an_entry_that_changed_while_somebody_decided_is_not_published_as_it_was(world: World) -> None:
    world.register()
    world.register("bob")
    world.fire(needs_approval=True)
    worker = world.worker()
    waiting = worker.once()
    assert waiting is not None
    world.registry.revoke("bob", actor="op")
    world.registry.jobs.decide(waiting.id, approved=True, actor="ann")
    again = worker.once()
    assert again is not None
    assert again.state is JobState.WAITING
    assert again.artifact_id != waiting.artifact_id
    assert {one.entry.id for one in world.launcher.orders[1].entries} == {"ada"}


def test_a_process_that_dies_is_started_again_later_and_then_given_up(world: World) -> None:
    world.launcher = FakeLauncher(codes=(137, 0))
    world.register()
    world.fire()
    worker = world.worker()
    later = worker.once()
    assert later is not None
    assert (later.state, later.error) == (JobState.QUEUED, "the process that trains ended with 137")
    assert world.registry.get("ada").state() is EntryState.CONSOLIDATING
    assert worker.once() is None
    world.due_now()
    done = worker.once()
    assert done is not None
    assert (done.state, done.attempts) == (JobState.DONE, 2)


def test_a_job_that_keeps_failing_is_given_up_and_its_entries_stay_in_context(world: World) -> None:
    world.launcher = FakeLauncher(codes=(1,))
    world.register()
    world.fire()
    worker = world.worker(attempts=2)
    worker.once()
    world.due_now()
    failed = worker.once()
    assert failed is not None
    assert failed.state is JobState.FAILED
    assert "given up after 2 attempts" in failed.error
    assert world.registry.get("ada").state() is EntryState.SUPPRESSED
    assert not list(world.data_dir.rglob(ORDER))


def test_what_cannot_be_done_is_not_tried_again(world: World) -> None:
    world.launcher = FakeLauncher(codes=(2,))
    world.register()
    world.fire()
    failed = world.worker().once()
    assert failed is not None
    assert (failed.state, failed.error, failed.attempts) == (JobState.FAILED, "it said so", 1)


def test_a_cancelled_job_ends_in_the_middle_of_training(world: World) -> None:
    world.register()
    world.fire()

    def cancel() -> None:
        world.registry.jobs.cancel(world.job().id, actor="op")
        threading.Event().wait(0.3)

    world.launcher = FakeLauncher(during=cancel)
    job = world.worker(lease_s=0.3).once()
    assert job is not None
    assert job.state is JobState.CANCELLED
    assert world.launcher.stopped == 1
    assert world.registry.get("ada").state() is EntryState.SUPPRESSED
    assert world.registry.artifacts.of_model("smollm2") == []


@pytest.mark.parametrize("step", [*Step])
def test_a_worker_that_is_killed_at_any_step_is_not_missed(world: World, step: Step, monkeypatch: Any) -> None:
    world.register()
    world.fire()
    killed = world.worker()

    class Killed(BaseException):
        """Nothing of the worker goes on."""

    advance: Callable[..., Job] = world.registry.jobs.advance

    def dying(lease: Any, to: Step, **more: Any) -> Job:
        job = advance(lease, to, **more)
        if to is step:
            raise Killed
        return job

    monkeypatch.setattr(world.registry.jobs, "advance", dying)
    with pytest.raises(Killed):
        killed.once()
    monkeypatch.undo()
    ago = to_text(datetime.now(UTC) - timedelta(seconds=1))
    with world.registry._database.write() as connection:
        connection.execute(update(consolidation_jobs).values(lease_until=ago))
    job = world.worker().once()
    assert job is not None
    assert (job.state, job.attempts) == (JobState.DONE, 2)
    weights = world.registry.artifacts.of_model("smollm2")
    assert [one.state for one in weights] == [ArtifactState.SERVING]
    assert world.registry.get("ada").state() is EntryState.CONSOLIDATED


def test_a_switch_that_no_proxy_makes_is_taken_back_and_tried_again(world: World) -> None:
    world.follows = False
    world.register()
    world.fire()
    worker = world.worker()
    later = worker.once()
    assert later is not None
    assert later.state is JobState.QUEUED
    assert "did not say" in later.error
    assert world.registry.artifacts.served("smollm2").artifact_id is None
    world.follows = True
    world.due_now()
    done = worker.once()
    assert done is not None
    assert done.state is JobState.DONE
    assert len(world.launcher.orders) == 1


def test_a_proxy_that_cannot_serve_the_weights_says_why(world: World) -> None:
    world.detail = "the server knows no adapters"
    world.register()
    world.fire()
    later = world.worker().once()
    assert later is not None
    assert later.error == "a proxy cannot serve the weights: the server knows no adapters"
    assert world.registry.artifacts.served("smollm2").artifact_id is None


def test_a_busy_machine_takes_no_job(world: World) -> None:
    world.register()
    world.fire()
    assert world.worker(is_idle=lambda: False).once() is None
    assert world.job().state is JobState.QUEUED


def test_a_worker_that_is_told_to_stop_leaves_its_job_to_the_next(world: World) -> None:
    world.register()
    world.fire()
    stop = threading.Event()
    world.launcher = FakeLauncher(during=stop.set)
    assert world.worker().once(stop) is None
    assert world.job().state is JobState.RUNNING
    assert world.launcher.stopped == 1
