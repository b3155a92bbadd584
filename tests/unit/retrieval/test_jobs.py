"""Consolidation jobs: leased by one worker at a time, never lost, never done twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from retrieval.errors import InvalidEntry, JobConflict, JobNotFound, LeaseLost
from retrieval.jobs import Jobs, JobState, Lease, Progress, Step
from retrieval.registry import Registry
from retrieval.stores.tables import consolidation_jobs
from retrieval.stores.timestamps import to_text

REQUEST = {"entries": {"ada": 3}, "method": "wga"}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry.open(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def jobs(registry: Registry) -> Jobs:
    return registry.jobs


def leased(jobs: Jobs, worker: str = "w1", span_s: float = 60.0) -> Lease:
    lease = jobs.lease(worker, span_s=span_s)
    assert lease is not None
    return lease


def outlive(registry: Registry, lease: Lease) -> None:
    """The worker was not heard of: its lease ended a second ago."""
    ago = to_text(datetime.now(UTC) - timedelta(seconds=1))
    with registry._database.write() as connection:
        own = consolidation_jobs.c.id == lease.job.id
        connection.execute(update(consolidation_jobs).where(own).values(lease_until=ago))


def test_a_job_is_kept_as_it_was_asked_for(jobs: Jobs) -> None:
    job = jobs.add("smollm2", REQUEST, actor="op")
    assert jobs.get(job.id) == job
    assert (job.state, job.step, job.request, job.attempts) == (JobState.QUEUED, Step.SELECT, REQUEST, 0)
    with pytest.raises(JobNotFound):
        jobs.get("cj_unknown")


def test_a_model_has_one_job_at_a_time(jobs: Jobs) -> None:
    first = jobs.add("smollm2", REQUEST, actor="op")
    with pytest.raises(JobConflict, match=first.id):
        jobs.add("smollm2", REQUEST, actor="op")
    jobs.add("other", REQUEST, actor="op")
    jobs.cancel(first.id, actor="op")
    assert jobs.add("smollm2", REQUEST, actor="op").number == 3


def test_two_workers_that_race_never_hold_the_same_job(registry: Registry, tmp_path: Path) -> None:
    for number in range(6):
        registry.jobs.add(f"model-{number}", REQUEST, actor="op")
    others = [Registry.open(tmp_path / "data") for _ in range(3)]
    held: list[str] = []

    def work(own: Registry) -> None:
        while (lease := own.jobs.lease(threading.current_thread().name, span_s=60)) is not None:
            held.append(lease.job.id)

    threads = [threading.Thread(target=work, args=(one,)) for one in (registry, *others)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in others:
        one.close()
    assert len(held) == len(set(held)) == 6


def test_a_leased_job_is_nobody_elses_until_its_worker_was_not_heard_of(registry: Registry, jobs: Jobs) -> None:
    jobs.add("smollm2", REQUEST, actor="op")
    first = leased(jobs, "w1")
    assert jobs.lease("w2", span_s=60) is None
    outlive(registry, first)
    second = leased(jobs, "w2")
    assert (second.job.id, second.job.attempts, second.job.worker) == (first.job.id, 2, "w2")


def test_who_lost_a_lease_can_write_nothing_whatever_the_clocks_say(registry: Registry, jobs: Jobs) -> None:
    jobs.add("smollm2", REQUEST, actor="op")
    first = leased(jobs, "w1")
    outlive(registry, first)
    second = leased(jobs, "w2", span_s=-3600)  # its clock is an hour behind
    for write in (
        lambda: jobs.renew(first, span_s=60),
        lambda: jobs.advance(first, Step.PUBLISH),
        lambda: jobs.report(first, Progress(done=1)),
        lambda: jobs.release(first, JobState.DONE),
    ):
        with pytest.raises(LeaseLost):
            write()
    assert jobs.advance(second, Step.BUILD).step is Step.BUILD
    assert jobs.get(first.job.id).state is JobState.RUNNING


def test_a_heartbeat_keeps_a_job_and_tells_of_a_cancellation(registry: Registry, jobs: Jobs) -> None:
    jobs.add("smollm2", REQUEST, actor="op")
    lease = leased(jobs, span_s=0.05)
    jobs.renew(lease, span_s=60)
    assert jobs.lease("w2", span_s=60) is None
    assert jobs.cancel(lease.job.id, actor="op").state is JobState.RUNNING
    assert jobs.renew(lease, span_s=60).is_cancelled
    with pytest.raises(JobConflict, match="cancelled"):
        jobs.advance(lease, Step.TRAIN)
    assert jobs.release(lease, JobState.CANCELLED).finished_at is not None


def test_a_job_that_no_worker_has_is_cancelled_at_once_and_stays_so(jobs: Jobs) -> None:
    job = jobs.add("smollm2", REQUEST, actor="op")
    assert jobs.cancel(job.id, actor="op").state is JobState.CANCELLED
    assert jobs.cancel(job.id, actor="op").state is JobState.CANCELLED
    assert jobs.lease("w1", span_s=60) is None


def test_a_job_that_failed_waits_for_its_time_and_goes_on_where_it_was(jobs: Jobs) -> None:
    jobs.add("smollm2", REQUEST, actor="op")
    lease = leased(jobs)
    jobs.advance(lease, Step.TRAIN)
    soon = datetime.now(UTC) + timedelta(seconds=60)
    job = jobs.release(lease, JobState.QUEUED, error="no memory", not_before=soon)
    assert (job.state, job.step, job.error) == (JobState.QUEUED, Step.TRAIN, "no memory")
    assert jobs.lease("w1", span_s=60) is None
    with jobs._database.write() as connection:
        connection.execute(update(consolidation_jobs).values(not_before=to_text(datetime.now(UTC))))
    assert leased(jobs).job.step is Step.TRAIN


def test_a_person_has_the_last_word_on_a_job_that_waits_for_it(jobs: Jobs) -> None:
    job = jobs.add("smollm2", REQUEST, actor="op")
    with pytest.raises(JobConflict, match="queued"):
        jobs.decide(job.id, approved=True, actor="op")
    jobs.release(leased(jobs), JobState.WAITING)
    approved = jobs.decide(job.id, approved=True, actor="op")
    assert (approved.state, approved.step) == (JobState.QUEUED, Step.PUBLISH)
    jobs.release(leased(jobs), JobState.WAITING)
    assert jobs.decide(job.id, approved=False, actor="op").state is JobState.REJECTED


def test_progress_is_told(jobs: Jobs) -> None:
    jobs.add("smollm2", REQUEST, actor="op")
    lease = leased(jobs)
    jobs.report(lease, Progress(done=3, total=50, loss=1.25, left_s=12.0))
    assert jobs.get(lease.job.id).progress == Progress(done=3, total=50, loss=1.25, left_s=12.0)
    assert jobs.advance(lease, Step.BUILD).progress == Progress()


def test_jobs_are_listed_newest_first_in_pages(jobs: Jobs) -> None:
    made = [jobs.add(f"model-{number}", REQUEST, actor="op").id for number in range(3)]
    page = jobs.list(limit=2)
    assert [job.id for job in page.items] == made[:0:-1]
    rest = jobs.list(limit=2, cursor=page.next_cursor)
    assert ([job.id for job in rest.items], rest.next_cursor) == (made[:1], None)
    assert [job.id for job in jobs.list(model="model-1").items] == made[1:2]
    with pytest.raises(InvalidEntry):
        jobs.list(limit=0)


def test_everything_that_happens_to_a_job_is_on_record(registry: Registry, jobs: Jobs) -> None:
    job = jobs.add("smollm2", REQUEST, actor="op")
    jobs.release(leased(jobs), JobState.WAITING)
    jobs.decide(job.id, approved=True, actor="ann")
    jobs.release(leased(jobs), JobState.DONE)
    kinds = [record.kind.removeprefix("consolidation.") for record in registry.audit.page(subject=job.id).items]
    assert kinds == ["queued", "started", "waiting_for_approval", "approved", "started", "done"]
    assert registry.audit.verify().ok
