"""`expunge worker`: takes consolidation jobs, one at a time, and never loses one. Read first, then `job_steps.py`.

    schedule fires -> plans -> jobs;   lease a job -> heartbeat -> steps -> done, refused, waiting, later again, or given up

Many workers may run: a firing and a job are one worker's each. A worker that is killed is not missed: its lease ends, and
another one goes on from what lies in the job's folder. It knows rows, not models.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from finetune.consolidation.job_steps import Impossible, JobSteps, NotNow, StepSettings
from finetune.consolidation.launchers import Launcher
from finetune.consolidation.planning import make_plans
from finetune.errors import FinetuneError
from retrieval.consolidations import begin
from retrieval.errors import JobCancelled, JobConflict, LeaseLost, RetrievalError
from retrieval.jobs import Job, JobState, Lease
from retrieval.registry import Registry

BEATS: Final = 3
"""Heartbeats in the span of a lease."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSettings:
    """`lease_s`: for how long a worker that is not heard of keeps its job; `attempts`: how often a job is tried; waits
    double from `first_wait_s` on. `is_idle`: asked before a job is taken; False leaves it for later."""

    steps: StepSettings
    lease_s: float = 60.0
    poll_s: float = 2.0
    plan_every_s: float = 300.0
    attempts: int = 4
    first_wait_s: float = 15.0
    is_idle: Callable[[], bool] = lambda: True


class Worker:
    """One process's worker. `say` is told what happens, a line each, without entry text."""

    def __init__(
        self, registry: Registry, settings: WorkerSettings, *, launcher: Launcher, say: Callable[[str], None]
    ) -> None:
        self._registry, self._settings, self._launcher, self._say = registry, settings, launcher, say
        self.name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self._planned_at = datetime.fromtimestamp(0, UTC)

    def run(self, stop: threading.Event) -> None:
        """Until it is told to stop; a job under way is left to the next worker, from its last checkpoint on."""
        while not stop.is_set():
            try:
                did = self.once(stop)
            except RetrievalError as error:  # the database is gone for a while
                self._say(f"The registry cannot be reached: {error}")
                did = None
            if did is None:
                stop.wait(self._settings.poll_s)

    def once(self, stop: threading.Event | None = None) -> Job | None:
        """Plan where it is time, and carry out one job; None where there was none."""
        self._plan()
        if not self._settings.is_idle():
            return None
        lease = self._registry.jobs.lease(self.name, span_s=self._settings.lease_s)
        return None if lease is None else self._carry_out(lease, stop or threading.Event())

    def _plan(self) -> None:
        """Plans from time to time and at a firing, which begins what is due."""
        now = datetime.now(UTC)
        firing = self._registry.schedules.take_firing(now)
        if firing is None and now - self._planned_at < timedelta(seconds=self._settings.plan_every_s):
            return
        self._planned_at = now
        schedule = self._registry.schedules.get()
        for plan in make_plans(self._registry, schedule=schedule, now=now):
            if firing is not None and plan.due:
                with suppress(JobConflict):  # the model has a job already
                    job = begin(self._registry, plan, schedule=schedule, actor="schedule")
                    self._say(f"{job.id}: {len(plan.due)} entries are due on '{plan.model}'.")

    def _carry_out(self, lease: Lease, stop: threading.Event) -> Job | None:
        beat = _Heartbeat(self._registry, lease, self._settings.lease_s, stop)
        steps = JobSteps(self._registry, lease, self._settings.steps, launcher=self._launcher, check=beat.check)
        self._say(f"{lease.job.id}: begun on '{lease.job.model}', attempt {lease.job.attempts}.")
        try:
            with beat:
                state, why = steps.carry_out()
                return self._ends(lease, state, why)
        except (LeaseLost, _Stopped):
            self._say(f"{lease.job.id}: left to another worker.")
            return None
        except JobCancelled:
            steps.give_up()
            return self._ends(lease, JobState.CANCELLED, "")
        except (Impossible, FinetuneError) as error:
            steps.give_up()
            return self._ends(lease, JobState.FAILED, str(error))
        except NotNow as error:
            return self._later(lease, steps, str(error))

    def _later(self, lease: Lease, steps: JobSteps, why: str) -> Job | None:
        """Again after a while, or given up."""
        if lease.job.attempts >= self._settings.attempts:
            steps.give_up()
            return self._ends(lease, JobState.FAILED, f"given up after {lease.job.attempts} attempts: {why}")
        wait_s = self._settings.first_wait_s * 2 ** (lease.job.attempts - 1)
        return self._ends(lease, JobState.QUEUED, why, not_before=datetime.now(UTC) + timedelta(seconds=wait_s))

    def _ends(self, lease: Lease, state: JobState, why: str, *, not_before: datetime | None = None) -> Job | None:
        with suppress(LeaseLost):
            job = self._registry.jobs.release(lease, state, error=why, not_before=not_before, actor=self.name)
            self._say(f"{job.id}: {job.state.value}{f' ({why})' if why else ''}.")
            return job
        return None


class _Stopped(Exception):
    """This worker is to stop."""


class _Heartbeat:
    """Renews a lease while a job is carried out, in a thread of its own; `check` raises once it is over."""

    def __init__(self, registry: Registry, lease: Lease, span_s: float, stop: threading.Event) -> None:
        self._registry, self._lease, self._span_s, self._stop = registry, lease, span_s, stop
        self._ended = threading.Event()
        self._over: Exception | None = None
        self._thread = threading.Thread(target=self._beat, name="job-heartbeat", daemon=True)

    def check(self) -> None:
        """Raises what ended the work: `LeaseLost`, a cancellation, or the end of this worker."""
        if self._stop.is_set():
            raise _Stopped
        if self._over is not None:
            raise self._over

    def _beat(self) -> None:
        heard = datetime.now(UTC)
        while not self._ended.wait(self._span_s / BEATS):
            try:
                job = self._registry.jobs.renew(self._lease, span_s=self._span_s)
            except LeaseLost as error:
                self._over = error
                return
            except RetrievalError as error:  # a database that restarts; the lease still holds for a while
                if datetime.now(UTC) - heard > timedelta(seconds=self._span_s):
                    self._over = LeaseLost(str(error))
                    return
                continue
            heard = datetime.now(UTC)
            if job.is_cancelled:
                self._over = JobCancelled(f"Job {job.id} was cancelled.")
                return

    def __enter__(self) -> _Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
