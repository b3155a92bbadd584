"""One job from its entries to serving weights, read after `worker.py`: six steps, each of which can be done again.

    select   entries that are still as they were; the others are left out
    build    the order, with their texts, in the job's folder
    train    a process of its own trains, and
    evaluate judges: untouched, edited, rounded, relearnt
    gate     limits, reasons, an artifact that is approved or rejected; texts are removed from the folder
    publish  the model's row of served weights; done when every proxy that serves it has said so

It knows rows and files, not how leases are kept or tries are counted.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from finetune.consolidation.child import EDITED, IMPOSSIBLE
from finetune.consolidation.gate import GateLimits, GateVerdict, Judged, figures_of, judge
from finetune.consolidation.gate_pictures import PictureLimits, judge_by_pictures
from finetune.consolidation.ladder import rung
from finetune.consolidation.launchers import Launcher
from finetune.consolidation.manifest import MANIFEST, read_manifest
from finetune.consolidation.order import JobFolder, JudgedWeights, Order, OrderedEntry, read_line
from finetune.consolidation.selection import stays_in_context
from finetune.data.whole_files import file_sha256
from finetune.errors import FinetuneError, InvalidData
from finetune.evaluation.run import UNTOUCHED
from retrieval.artifacts import Artifact, Made, Served, Verdict
from retrieval.coverage import settle
from retrieval.entry import EntryState, RegisteredEntry
from retrieval.errors import EntryNotFound
from retrieval.job_request import JobRequest
from retrieval.jobs import Job, JobState, Lease, Progress, Step
from retrieval.registry import Registry
from retrieval.served_models import ServedModel

FOLDER: Final = "consolidation"
_REPORT_S: Final = 1.0


class Impossible(Exception):
    """A job that cannot be done, however often it is tried; says why."""


class NotNow(Exception):
    """A job that may be tried again later; says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepSettings:
    """How jobs are carried out. `publish_s`: how long proxies may take to say that they serve new weights."""

    data_dir: Path
    limits: GateLimits = field(default_factory=GateLimits)
    picture_limits: PictureLimits = field(default_factory=PictureLimits)
    retain: Path | None = None
    retain_generated: int = 64
    questions: int = 40
    attacks: tuple[str, ...] = ("4-bit", "relearnt")
    publish_s: float = 60.0
    environment: Mapping[str, str] = field(default_factory=dict)


class JobSteps:
    """The steps of one leased job. `check` is asked between pieces of work and raises to end it."""

    def __init__(
        self,
        registry: Registry,
        lease: Lease,
        settings: StepSettings,
        *,
        launcher: Launcher,
        check: Callable[[], None],
    ) -> None:
        self._registry, self._lease, self._settings = registry, lease, settings
        self._launcher, self._check = launcher, check
        self._request = JobRequest.model_validate(lease.job.request)
        self._reported = float("-inf")
        self.folder = JobFolder(settings.data_dir / FOLDER / lease.job.id)

    @property
    def _job(self) -> Job:
        return self._lease.job

    def carry_out(self) -> tuple[JobState, str]:
        """All steps; how the job ends or waits, and why. Raises `Impossible`, `NotNow`, and what `check` raises."""
        artifact = self._approved()
        if artifact is None or not self._is_still_wanted(artifact):
            records = self.select()
            if not any(record.id in self._request.due for record in records):
                return JobState.CANCELLED, "none of its entries is due any more"
            self.build(records)
            self.train()
            artifact, verdict = self.gate()
            if not verdict.accepted:
                self._back_to_context()
                return JobState.REJECTED, "; ".join(verdict.reasons)
            if self._request.needs_approval:
                self._registry.jobs.advance(self._lease, Step.PUBLISH, artifact_id=artifact.id)
                return JobState.WAITING, "passed the gate"
        self.publish(artifact)
        return JobState.DONE, ""

    def select(self) -> list[RegisteredEntry]:
        """The request's entries that may still get into weights, at the revisions that it names."""
        self._registry.jobs.advance(self._lease, Step.SELECT)
        found = [record for record in self._records() if not stays_in_context(record.entry, self._served_model())]
        due = {record.id: record.revision for record in found if record.id in self._request.due}
        self._registry.mark_weights(due, EntryState.CONSOLIDATING, actor=self._actor, reason=self._job.id)
        return found

    def build(self, records: list[RegisteredEntry]) -> None:
        """The order in the job's folder; what lies there of another order goes."""
        self._registry.jobs.advance(self._lease, Step.BUILD)
        order = self._order(records)
        try:
            is_same = self.folder.read_order() == order
        except InvalidData:
            is_same = False
        if not is_same:
            self.folder.remove()
        try:
            self.folder.write_order(order)
        except OSError as error:
            raise NotNow(f"the job's folder cannot be written ({error.strerror})") from None

    def train(self) -> None:
        """Train and judge, in a process of its own."""
        self._registry.jobs.advance(self._lease, Step.TRAIN)
        command = [sys.executable, "-m", "finetune.consolidation.child", str(self.folder.path)]
        try:
            launched = self._launcher.launch(command, log=self.folder.log, environment=self._settings.environment)
        except FinetuneError as error:
            raise NotNow(str(error)) from None
        at = Step.TRAIN
        try:
            for line in launched.lines():
                self._check()
                told = read_line(line)
                if told is not None:
                    at = self._heard(told, at)
            code = launched.wait()
        finally:
            launched.stop()
        if code == IMPOSSIBLE:
            raise Impossible(launched.error())
        if code != 0:
            raise NotNow(f"the process that trains ended with {code}")

    def gate(self) -> tuple[Artifact, GateVerdict]:
        """The verdict, with the weights as a row; no text is left in the folder."""
        self._registry.jobs.advance(self._lease, Step.GATE)
        judged = self.folder.read_judged()
        if judged is None:
            raise NotNow("the figures of the judge cannot be read")
        verdict = self._verdict(judged)
        artifact = self._registry.artifacts.propose(self._job.model, self._job.id, self._made())
        artifact = self._registry.artifacts.decide(
            artifact.id,
            approved=verdict.accepted,
            verdict=Verdict(reasons=verdict.reasons, figures=figures_of(verdict)),
            actor="gate",
        )
        self._registry.jobs.advance(self._lease, Step.GATE, artifact_id=artifact.id)
        self.folder.forget_texts()
        return artifact, verdict

    def _verdict(self, judged: JudgedWeights) -> GateVerdict:
        if judged.pictures is not None:
            return judge_by_pictures(judged.pictures, self._settings.picture_limits)
        return judge(_told_to_gate(judged), self._settings.limits)

    def publish(self, artifact: Artifact) -> None:
        """Serve, wait for every proxy, mark the entries. What cannot be served is taken back at once."""
        jobs, artifacts, model = self._registry.jobs, self._registry.artifacts, self._job.model
        jobs.advance(self._lease, Step.PUBLISH, artifact_id=artifact.id)
        served = artifacts.serve(model, artifact.id, actor=self._actor, canary_share=self._request.canary_share)
        try:
            self._wait_for_proxies(served)
        except Exception:
            if artifacts.served(model).seq == served.seq:
                artifacts.roll_back(model, actor=self._actor)
            raise
        settle(self._registry, actor=self._actor, reason=f"weights {artifact.id} serve")

    def _wait_for_proxies(self, served: Served) -> None:
        deadline = time.monotonic() + self._settings.publish_s
        while True:
            self._check()
            replicas = self._registry.artifacts.replicas(served.model)
            behind = [one for one in replicas if one.seq < served.seq or not one.is_done]
            failed = [one for one in behind if one.seq >= served.seq and one.detail]
            if failed:
                raise NotNow(f"a proxy cannot serve the weights: {failed[0].detail}")
            if replicas and not behind:
                return
            if time.monotonic() > deadline:
                who = f"{len(behind)} of {len(replicas)} proxies" if replicas else "any proxy that serves the model"
                raise NotNow(f"{who} did not say in {self._settings.publish_s:.0f} s that the weights serve")
            time.sleep(0.1)

    def give_up(self) -> None:
        """The job ends without weights: its entries stay in context, and no text of theirs in its folder."""
        self._back_to_context()
        self.folder.forget_texts()

    def _back_to_context(self) -> None:
        revisions = {entry_id: self._request.entries.get(entry_id, 0) for entry_id in self._request.due}
        waiting = {
            record.id: record.revision
            for record in self._records()
            if record.id in revisions and record.weights is EntryState.CONSOLIDATING
        }
        self._registry.mark_weights(waiting, None, actor=self._actor, reason=self._job.id)

    def _approved(self) -> Artifact | None:
        """The weights of an earlier try, or of a person's approval, that are only to be published."""
        if self._job.step is not Step.PUBLISH or self._job.artifact_id is None:
            return None
        return self._registry.artifacts.get(self._job.artifact_id)

    def _is_still_wanted(self, artifact: Artifact) -> bool:
        """Whether every entry that the weights cover is still as it was; else they are made anew."""
        return len(self._records()) == len(artifact.made.covers)

    def _records(self) -> list[RegisteredEntry]:
        """The request's entries at the revisions that it names, without those that were revoked or changed."""
        found = []
        for entry_id, revision in self._request.entries.items():
            try:
                record = self._registry.get(entry_id)
            except EntryNotFound:
                continue
            if record.revoked_at is None and record.revision == revision:
                found.append(record)
        return found

    def _served_model(self) -> ServedModel:
        known = {one.model: one for one in self._registry.served_models.all()}
        if self._job.model not in known:
            raise NotNow(f"no proxy serves '{self._job.model}'")
        return known[self._job.model]

    def _order(self, records: list[RegisteredEntry]) -> Order:
        request, settings, served = self._request, self._settings, self._served_model()
        tried = rung(request.modality, request.rung)
        named = request.method is not None
        return Order(
            modality=request.modality,
            base=request.base,
            method=request.method or tried.method,
            hyper_parameters=dict(request.hyper_parameters if named else tried.hyper_parameters),
            plan=dict(request.plan if named else tried.plan),
            edit_scale=request.edit_scale or (1.0 if named else tried.edit_scale),
            retain=settings.retain,
            retain_generated=settings.retain_generated,
            looking=dict(served.looking),
            drawing=dict(served.drawing),
            entries=tuple(
                OrderedEntry(revision=one.revision, entry=one.entry.model_copy(update={"id": one.id}), edits=one.edits)
                for one in records
            ),
            questions=settings.questions,
            attacks=settings.attacks,
        )

    def _heard(self, told: Mapping[str, Any], at: Step) -> Step:
        """What the process says of itself, as the job's step and progress."""
        if told["stage"] == "evaluate" and at is not Step.EVALUATE:
            at = self._registry.jobs.advance(self._lease, Step.EVALUATE).step
        if "done" in told and (told["done"] == told["total"] or time.monotonic() - self._reported >= _REPORT_S):
            self._reported = time.monotonic()
            progress = Progress(
                done=told["done"], total=told["total"], loss=told.get("loss"), left_s=told.get("left_s")
            )
            self._registry.jobs.report(self._lease, progress)
        return at

    def _made(self) -> Made:
        try:
            manifest = read_manifest(self.folder.run)
        except FinetuneError as error:
            raise NotNow(str(error)) from None
        covers = {key: record.revision for key, record in manifest.entries.items() if record.revision is not None}
        return Made(
            form=manifest.form,
            folder=(self.folder.run / manifest.form).resolve(),
            manifest_sha256=file_sha256(self.folder.run / MANIFEST),
            base=manifest.base.fingerprint,
            method=manifest.method,
            covers=covers,
        )

    @property
    def _actor(self) -> str:
        return f"job:{self._job.id}"


def _told_to_gate(judged: JudgedWeights) -> Judged:
    models = judged.models
    return Judged(
        edited=models[EDITED],
        untouched=models[UNTOUCHED],
        rounded=models.get(f"{EDITED}+4-bit"),
        relearnt=models.get(f"{EDITED}+relearnt"),
    )


__all__ = ["Impossible", "JobSteps", "NotNow", "StepSettings"]
