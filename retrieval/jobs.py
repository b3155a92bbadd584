"""Consolidation jobs: asked for once, leased by one worker at a time, never lost and never done twice.

    queued -> running (select, build, train, evaluate, gate, publish) -> done
                  |-> waiting for approval -> queued        |-> rejected | failed | cancelled

A lease is a span of time and a token that grows with every lease. Whoever writes to a job shows his token: a worker that
slept through the end of its lease, or whose clock jumped, finds a newer token and can write no more, whatever the clocks
say. One job of a model runs at a time. It knows neither methods nor models; a request is JSON without entry text.

All methods are synchronous and thread-safe; times are UTC.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, or_, select, update

from retrieval.errors import JobCancelled, JobConflict, JobNotFound, LeaseLost
from retrieval.stores.audit_chain import AuditRecord, append_in
from retrieval.stores.cursors import check_limit, decode_cursor, encode_cursor
from retrieval.stores.database import Database
from retrieval.stores.tables import consolidation_jobs as jobs
from retrieval.stores.timestamps import from_text, optional_text, to_text


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"  # waits for a worker
    RUNNING = "running"  # a worker has leased it
    WAITING = "waiting_for_approval"  # the gate passed it, and a person has the last word
    DONE = "done"  # its weights are published
    REJECTED = "rejected"  # by the gate or by a person; its entries stay suppressed in context
    FAILED = "failed"  # gave up after the last attempt
    CANCELLED = "cancelled"


class Step(StrEnum):
    """What a running job is at. Every step can be done again from its beginning."""

    SELECT = "select"
    BUILD = "build"
    TRAIN = "train"
    EVALUATE = "evaluate"
    GATE = "gate"
    PUBLISH = "publish"


ENDED = frozenset({JobState.DONE, JobState.REJECTED, JobState.FAILED, JobState.CANCELLED})
STEPS = tuple(Step)


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a step is: `done` of `total` (training steps, questions ...), the loss, and what is left in seconds."""

    done: int = 0
    total: int = 0
    loss: float | None = None
    left_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A job as the store holds it. `request` is what was asked for, as JSON."""

    id: str
    number: int
    model: str
    state: JobState
    step: Step
    request: Mapping[str, Any]
    artifact_id: str | None
    attempts: int
    worker: str | None
    lease_until: datetime | None
    not_before: datetime | None
    is_cancelled: bool
    progress: Progress
    error: str
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None

    @property
    def is_ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.state in ENDED


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """A job in one worker's hands, as it was when it was leased."""

    job: Job
    token: int


@dataclass(frozen=True, kw_only=True, slots=True)
class JobPage:
    """Jobs, newest first; `next_cursor` is None on the last page."""

    items: tuple[Job, ...]
    next_cursor: str | None


class Jobs:
    """The jobs of one registry."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, model: str, request: Mapping[str, Any], *, actor: str, not_before: datetime | None = None) -> Job:
        """A new job. Raises `JobConflict` while another one of this model has not ended."""
        now = datetime.now(UTC)
        job_id = f"cj_{secrets.token_hex(10)}"
        with self._database.write() as connection:
            there = connection.execute(select(jobs.c.id).where(jobs.c.model == model, ~_has_ended())).scalars().first()
            if there is not None:
                raise JobConflict(f"'{model}' has a job already, {there}; wait for its end, or cancel it.")
            number = int(connection.execute(select(func.coalesce(func.max(jobs.c.number), 0))).scalar_one()) + 1
            row = {
                "id": job_id,
                "number": number,
                "model": model,
                "state": JobState.QUEUED.value,
                "step": Step.SELECT.value,
                "request": orjson.dumps(dict(request), option=orjson.OPT_SORT_KEYS).decode(),
                "attempts": 0,
                "token": 0,
                "not_before": optional_text(not_before),
                "is_cancelled": False,
                "progress": "{}",
                "error": "",
                "created_at": to_text(now),
                "updated_at": to_text(now),
            }
            connection.execute(insert(jobs).values(row))
            append_in(connection, [_audit("consolidation.queued", actor, job_id, {"model": model})])
            return _require(connection, job_id)

    def lease(self, worker: str, *, span_s: float, models: Sequence[str] | None = None) -> Lease | None:
        """The oldest job that is due, in this worker's hands for `span_s`; None where there is none.

        Due are queued jobs whose time has come, and running ones whose worker has not been heard of since its lease ended;
        no job of a model of which another one runs. `models`: those that this worker can work on.
        """
        now = datetime.now(UTC)
        moment = to_text(now)
        alive = and_(jobs.c.state == JobState.RUNNING.value, jobs.c.lease_until > moment)
        waits = and_(
            jobs.c.state == JobState.QUEUED.value, or_(jobs.c.not_before.is_(None), jobs.c.not_before <= moment)
        )
        orphaned = and_(jobs.c.state == JobState.RUNNING.value, jobs.c.lease_until <= moment)
        with self._database.write() as connection:
            busy = select(jobs.c.model).where(alive)
            statement = select(jobs).where(or_(waits, orphaned), jobs.c.model.not_in(busy))
            if models is not None:
                statement = statement.where(jobs.c.model.in_(models))
            found = connection.execute(statement.order_by(jobs.c.number).limit(1)).one_or_none()
            if found is None:
                return None
            token = int(found.token) + 1
            values = {
                "state": JobState.RUNNING.value,
                "token": token,
                "worker": worker,
                "attempts": found.attempts + 1,
                "lease_until": to_text(now + timedelta(seconds=span_s)),
                "updated_at": moment,
            }
            connection.execute(update(jobs).where(jobs.c.id == found.id).values(values))
            data = {"model": found.model, "attempt": found.attempts + 1, "step": found.step}
            append_in(connection, [_audit("consolidation.started", worker, found.id, data)])
            return Lease(job=_require(connection, found.id), token=token)

    def renew(self, lease: Lease, *, span_s: float) -> Job:
        """The heartbeat; look at `is_cancelled` of what comes back. Raises `LeaseLost`."""
        until = to_text(datetime.now(UTC) + timedelta(seconds=span_s))
        with self._database.write() as connection:
            _write(connection, lease, {"lease_until": until})
            return _require(connection, lease.job.id)

    def advance(self, lease: Lease, step: Step, *, artifact_id: str | None = None) -> Job:
        """The next step is begun. Raises `LeaseLost`, and `JobCancelled`."""
        values: dict[str, Any] = {"step": step.value, "progress": "{}", "error": ""}
        with self._database.write() as connection:
            _write(connection, lease, values | ({} if artifact_id is None else {"artifact_id": artifact_id}))
            job = _require(connection, lease.job.id)
            if job.is_cancelled:
                raise JobCancelled(f"Job {job.id} was cancelled.")
            return job

    def report(self, lease: Lease, progress: Progress) -> None:
        """How far the step is. Raises `LeaseLost`."""
        told = {name: getattr(progress, name) for name in ("done", "total", "loss", "left_s")}
        with self._database.write() as connection:
            _write(connection, lease, {"progress": orjson.dumps(told).decode()})

    def release(
        self,
        lease: Lease,
        state: JobState,
        *,
        error: str = "",
        not_before: datetime | None = None,
        actor: str = "worker",
    ) -> Job:
        """Out of this worker's hands: ended, waiting for approval, or queued again (`not_before`). Raises `LeaseLost`."""
        now = datetime.now(UTC)
        values = {
            "state": state.value,
            "error": error,
            "worker": None,
            "lease_until": None,
            "not_before": optional_text(not_before),
            "finished_at": to_text(now) if state in ENDED else None,
        }
        with self._database.write() as connection:
            _write(connection, lease, values)
            data = {"model": lease.job.model, "attempt": lease.job.attempts, **({"error": error} if error else {})}
            append_in(connection, [_audit(f"consolidation.{state.value}", actor, lease.job.id, data)])
            return _require(connection, lease.job.id)

    def cancel(self, job_id: str, *, actor: str) -> Job:
        """End a job: at once where no worker has it, else at the worker's next heartbeat. An ended one stays as it is.
        Raises `JobNotFound`."""
        now = datetime.now(UTC)
        with self._database.write() as connection:
            job = _require(connection, job_id)
            if job.is_ended or job.is_cancelled:
                return job
            ends_now = job.state is not JobState.RUNNING or (job.lease_until is not None and job.lease_until <= now)
            values: dict[str, Any] = {"is_cancelled": True, "updated_at": to_text(now)}
            if ends_now:
                values |= {"state": JobState.CANCELLED.value, "finished_at": to_text(now), "worker": None}
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(values))
            append_in(connection, [_audit("consolidation.cancelled", actor, job_id, {"model": job.model})])
            return _require(connection, job_id)

    def decide(self, job_id: str, *, approved: bool, actor: str) -> Job:
        """A person's word on a job that waits for it: queued again to be published, or rejected.

        Raises `JobNotFound`, and `JobConflict` for a job that does not wait.
        """
        now = datetime.now(UTC)
        with self._database.write() as connection:
            job = _require(connection, job_id)
            if job.state is not JobState.WAITING:
                raise JobConflict(f"Job {job_id} is {job.state.value}; only one that waits for approval is decided on.")
            state = JobState.QUEUED if approved else JobState.REJECTED
            values: dict[str, Any] = {"state": state.value, "attempts": 0, "updated_at": to_text(now)}
            values |= {"step": Step.PUBLISH.value} if approved else {"finished_at": to_text(now)}
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(values))
            kind = "consolidation.approved" if approved else "consolidation.rejected"
            append_in(connection, [_audit(kind, actor, job_id, {"model": job.model, "artifact": job.artifact_id})])
            return _require(connection, job_id)

    def get(self, job_id: str) -> Job:
        """Raises `JobNotFound`."""
        with self._database.read() as connection:
            return _require(connection, job_id)

    def list(self, *, model: str | None = None, limit: int = 100, cursor: str | None = None) -> JobPage:
        """Newest first; raises `InvalidEntry` for a bad cursor or limit."""
        before = decode_cursor("consolidations", cursor)
        statement = select(jobs).order_by(jobs.c.number.desc()).limit(check_limit(limit) + 1)
        if before:
            statement = statement.where(jobs.c.number < before)
        if model is not None:
            statement = statement.where(jobs.c.model == model)
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        items = tuple(map(_job, rows[:limit]))
        more = len(rows) > limit
        return JobPage(items=items, next_cursor=encode_cursor("consolidations", items[-1].number) if more else None)


def _has_ended() -> ColumnElement[bool]:
    return jobs.c.state.in_([state.value for state in ENDED])


def _write(connection: Connection, lease: Lease, values: Mapping[str, Any]) -> None:
    """Only while the lease is the newest one and the job runs under it."""
    held = and_(jobs.c.id == lease.job.id, jobs.c.token == lease.token, jobs.c.state == JobState.RUNNING.value)
    changed = connection.execute(
        update(jobs).where(held).values(**values, updated_at=to_text(datetime.now(UTC)))
    ).rowcount
    if changed != 1:
        raise LeaseLost(f"Job {lease.job.id} is in other hands; what this worker has made of it is not used.")


def _require(connection: Connection, job_id: str) -> Job:
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).one_or_none()
    if row is None:
        raise JobNotFound("No consolidation has this id; `expunge consolidate status` shows them.")
    return _job(row)


def _job(row: Row[Any]) -> Job:
    def moment(text: str | None) -> datetime | None:
        return None if text is None else from_text(text)

    return Job(
        id=row.id,
        number=row.number,
        model=row.model,
        state=JobState(row.state),
        step=Step(row.step),
        request=orjson.loads(row.request),
        artifact_id=row.artifact_id,
        attempts=row.attempts,
        worker=row.worker,
        lease_until=moment(row.lease_until),
        not_before=moment(row.not_before),
        is_cancelled=row.is_cancelled,
        progress=Progress(**orjson.loads(row.progress)),
        error=row.error,
        created_at=from_text(row.created_at),
        updated_at=from_text(row.updated_at),
        finished_at=moment(row.finished_at),
    )


def _audit(kind: str, actor: str, job_id: str, data: Mapping[str, Any]) -> AuditRecord:
    return AuditRecord(kind=kind, actor=actor, subject=job_id, data=data)


__all__ = ["ENDED", "STEPS", "Job", "JobPage", "JobState", "Jobs", "Lease", "Progress", "Step"]
