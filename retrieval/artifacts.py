"""Weights that consolidation made: proposed, approved, serving, rolled back; what they cover, and who serves them.

    proposed -> approved | rejected;   approved -> serving -> superseded | rolled_back

The row of `served_weights` says which weights a public model is to be answered with. Every proxy that serves the model
follows it and says in `rollout_replicas` what it has made of it; a switch is done when all that were heard of lately have
said so. Weights themselves lie in files; a row knows their folder and the SHA-256 of their manifest, and never entry text.

All methods are synchronous and thread-safe; times are UTC.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from retrieval.errors import ArtifactNotFound, JobConflict
from retrieval.stores import counter
from retrieval.stores.audit_chain import AuditRecord, append_in
from retrieval.stores.database import Database
from retrieval.stores.revision_signal import RevisionSignal
from retrieval.stores.tables import rollout_replicas, served_weights, weight_artifacts
from retrieval.stores.timestamps import from_text, to_text

REPLICA_SPAN_S = 30.0
"""A replica that was not heard of for so long does not count any more."""


class ArtifactState(StrEnum):
    """Where weights stand."""

    PROPOSED = "proposed"  # made, not judged yet
    APPROVED = "approved"  # may serve
    REJECTED = "rejected"  # must not
    SERVING = "serving"  # requests are answered with them, all or a share
    SUPERSEDED = "superseded"  # others took their place
    ROLLED_BACK = "rolled_back"  # taken out again


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """What a run wrote. `form` is the manifest's (adapter, model or edit); `covers` are entries with their revisions;
    `base` is the fingerprint of the model that it is for."""

    form: str
    folder: Path
    manifest_sha256: str
    base: str
    method: str
    covers: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the gate, or a person, said: reasons in words, and the figures that they stand on."""

    reasons: tuple[str, ...] = ()
    figures: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """Weights as the store holds them. `version` counts a model's."""

    id: str
    model: str
    version: int
    job_id: str
    state: ArtifactState
    made: Made
    verdict: Verdict
    created_at: datetime
    decided_at: datetime | None
    decided_by: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """Which weights a public model is to be answered with; None: those as they were. `seq` is the change's number."""

    model: str
    artifact_id: str | None
    previous_id: str | None
    canary_id: str | None
    canary_share: float
    seq: int
    changed_at: datetime
    changed_by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Replica:
    """What a process that serves a model has made of change `seq`; `detail` says why where it is not done."""

    replica: str
    model: str
    seq: int
    is_done: bool
    detail: str
    seen_at: datetime


class Artifacts:
    """The weights of one registry."""

    def __init__(self, database: Database, signal: RevisionSignal) -> None:
        self._database, self._signal = database, signal

    def propose(self, model: str, job_id: str, made: Made) -> Artifact:
        """New weights of a job; the same again is the same artifact."""
        now = to_text(datetime.now(UTC))
        content = _json(
            {
                "form": made.form,
                "folder": str(made.folder),
                "manifest_sha256": made.manifest_sha256,
                "base": made.base,
                "method": made.method,
                "covers": dict(made.covers),
            }
        )
        artifact_id = f"wa_{secrets.token_hex(10)}"
        with self._database.write() as connection:
            for row in connection.execute(select(weight_artifacts).where(weight_artifacts.c.job_id == job_id)):
                if row.made == content:
                    return _artifact(row)
            newest = select(func.coalesce(func.max(weight_artifacts.c.version), 0)).where(
                weight_artifacts.c.model == model
            )
            version = int(connection.execute(newest).scalar_one()) + 1
            row_values = {
                "id": artifact_id,
                "model": model,
                "version": version,
                "job_id": job_id,
                "state": ArtifactState.PROPOSED.value,
                "made": content,
                "verdict": "{}",
                "created_at": now,
            }
            connection.execute(insert(weight_artifacts).values(row_values))
            data = {"model": model, "version": version, "job": job_id, "manifest_sha256": made.manifest_sha256}
            append_in(connection, [_audit("weights.proposed", "worker", artifact_id, data)])
            return _require(connection, artifact_id)

    def decide(self, artifact_id: str, *, approved: bool, verdict: Verdict, actor: str) -> Artifact:
        """The gate's word, or a person's after it. Raises `JobConflict` for weights that serve or did."""
        with self._database.write() as connection:
            there = _require(connection, artifact_id)
            if there.state not in (ArtifactState.PROPOSED, ArtifactState.APPROVED, ArtifactState.REJECTED):
                raise JobConflict(f"Weights {artifact_id} are {there.state.value}; they were decided on before.")
            state = ArtifactState.APPROVED if approved else ArtifactState.REJECTED
            values = {
                "state": state.value,
                "verdict": _json({"reasons": list(verdict.reasons), "figures": verdict.figures}),
                "decided_at": to_text(datetime.now(UTC)),
                "decided_by": actor,
            }
            connection.execute(update(weight_artifacts).where(weight_artifacts.c.id == artifact_id).values(values))
            data = {"model": there.model, "version": there.version, "reasons": list(verdict.reasons)}
            append_in(connection, [_audit(f"weights.{state.value}", actor, artifact_id, data)])
            return _require(connection, artifact_id)

    def serve(self, model: str, artifact_id: str | None, *, actor: str, canary_share: float = 1.0) -> Served:
        """From now on the model is to be answered with these weights, or a share of its requests; None: as it was.

        The same again changes nothing. Raises `ArtifactNotFound`, and `JobConflict` for weights that were not approved or
        are another model's.
        """
        if not 0 < canary_share <= 1:
            raise JobConflict(f"canary_share is {canary_share}; give more than 0, and 1 for all requests.")
        with self._database.write() as connection:
            before = _served(connection, model)
            if artifact_id is not None:
                _check_servable(_require(connection, artifact_id), model)
            is_canary = artifact_id is not None and canary_share < 1
            wanted = (before.artifact_id, artifact_id, canary_share) if is_canary else (artifact_id, None, 0.0)
            if (before.artifact_id, before.canary_id, before.canary_share) == wanted and before.seq:
                return before
            previous = before.previous_id if is_canary or wanted[0] == before.artifact_id else before.artifact_id
            served = self._put(connection, model, wanted, previous=previous, actor=actor)
            _mark(connection, model, served, gone=ArtifactState.SUPERSEDED)
        self._signal.publish(served.seq)
        return served

    def roll_back(self, model: str, *, actor: str) -> Served:
        """Back to what served before: a canary ends, else the previous weights (or none) serve again.

        Raises `JobConflict` where nothing but the untouched weights ever served.
        """
        with self._database.write() as connection:
            before = _served(connection, model)
            if before.canary_id is None and before.artifact_id is None:
                raise JobConflict(f"'{model}' is answered with its untouched weights; there is nothing to roll back.")
            ends_canary = before.canary_id is not None
            wanted = (before.artifact_id if ends_canary else before.previous_id, None, 0.0)
            previous = before.previous_id if ends_canary else None
            served = self._put(connection, model, wanted, previous=previous, actor=actor, kind="weights.rolled_back")
            _mark(connection, model, served, gone=ArtifactState.ROLLED_BACK)
        self._signal.publish(served.seq)
        return served

    def _put(
        self,
        connection: Connection,
        model: str,
        wanted: tuple[str | None, str | None, float],
        *,
        previous: str | None,
        actor: str,
        kind: str = "weights.serving",
    ) -> Served:
        seq = counter.lock(connection) + 1
        counter.advance_to(connection, seq)
        artifact_id, canary_id, share = wanted
        row = {
            "model": model,
            "artifact_id": artifact_id,
            "previous_id": previous,
            "canary_id": canary_id,
            "canary_share": share,
            "seq": seq,
            "changed_at": to_text(datetime.now(UTC)),
            "changed_by": actor,
        }
        connection.execute(delete(served_weights).where(served_weights.c.model == model))
        connection.execute(insert(served_weights).values(row))
        data = {"artifact": artifact_id, "canary": canary_id, "canary_share": share, "seq": seq}
        append_in(connection, [_audit(kind, actor, model, data)])
        return _served(connection, model)

    def get(self, artifact_id: str) -> Artifact:
        """Raises `ArtifactNotFound`."""
        with self._database.read() as connection:
            return _require(connection, artifact_id)

    def of_model(self, model: str) -> list[Artifact]:
        """All weights of a model, the oldest first."""
        statement = select(weight_artifacts).where(weight_artifacts.c.model == model)
        with self._database.read() as connection:
            return [_artifact(row) for row in connection.execute(statement.order_by(weight_artifacts.c.version))]

    def served(self, model: str) -> Served:
        """What a model is to be answered with."""
        with self._database.read() as connection:
            return _served(connection, model)

    def all_served(self) -> list[Served]:
        """Of every model that ever had a change."""
        with self._database.read() as connection:
            return [_of(row) for row in connection.execute(select(served_weights).order_by(served_weights.c.model))]

    def acknowledge(self, replica: str, model: str, *, seq: int, is_done: bool, detail: str = "") -> None:
        """A process that serves the model says where it is; said again from time to time, as a sign of life."""
        row = {
            "replica": replica,
            "model": model,
            "seq": seq,
            "is_done": is_done,
            "detail": detail,
            "seen_at": to_text(datetime.now(UTC)),
        }
        its = (rollout_replicas.c.replica == replica) & (rollout_replicas.c.model == model)
        with self._database.write() as connection:
            connection.execute(delete(rollout_replicas).where(its))
            connection.execute(insert(rollout_replicas).values(row))

    def replicas(self, model: str, *, span_s: float = REPLICA_SPAN_S) -> list[Replica]:
        """The processes that serve the model, as far as they were heard of lately."""
        since = to_text(datetime.now(UTC) - timedelta(seconds=span_s))
        statement = select(rollout_replicas).where(
            rollout_replicas.c.model == model, rollout_replicas.c.seen_at >= since
        )
        with self._database.read() as connection:
            return [
                Replica(
                    replica=row.replica,
                    model=row.model,
                    seq=row.seq,
                    is_done=row.is_done,
                    detail=row.detail,
                    seen_at=from_text(row.seen_at),
                )
                for row in connection.execute(statement.order_by(rollout_replicas.c.replica))
            ]


def _check_servable(artifact: Artifact, model: str) -> None:
    if artifact.model != model:
        raise JobConflict(f"Weights {artifact.id} are of '{artifact.model}', not of '{model}'.")
    if artifact.state in (ArtifactState.PROPOSED, ArtifactState.REJECTED):
        raise JobConflict(f"Weights {artifact.id} are {artifact.state.value}; only approved ones can serve.")


def _mark(connection: Connection, model: str, served: Served, *, gone: ArtifactState) -> None:
    """The states of a model's weights after a switch."""
    serving = [one for one in (served.artifact_id, served.canary_id) if one is not None]
    own, states = weight_artifacts.c.model == model, weight_artifacts.c.state
    left = own & (states == ArtifactState.SERVING.value) & weight_artifacts.c.id.not_in(serving)
    connection.execute(update(weight_artifacts).where(left).values(state=gone.value))
    now = own & weight_artifacts.c.id.in_(serving)
    connection.execute(update(weight_artifacts).where(now).values(state=ArtifactState.SERVING.value))


def _served(connection: Connection, model: str) -> Served:
    row = connection.execute(select(served_weights).where(served_weights.c.model == model)).one_or_none()
    if row is not None:
        return _of(row)
    never = datetime.fromtimestamp(0, UTC)
    return Served(
        model=model,
        artifact_id=None,
        previous_id=None,
        canary_id=None,
        canary_share=0.0,
        seq=0,
        changed_at=never,
        changed_by="",
    )


def _of(row: Row[Any]) -> Served:
    return Served(
        model=row.model,
        artifact_id=row.artifact_id,
        previous_id=row.previous_id,
        canary_id=row.canary_id,
        canary_share=row.canary_share,
        seq=row.seq,
        changed_at=from_text(row.changed_at),
        changed_by=row.changed_by,
    )


def _require(connection: Connection, artifact_id: str) -> Artifact:
    row = connection.execute(select(weight_artifacts).where(weight_artifacts.c.id == artifact_id)).one_or_none()
    if row is None:
        raise ArtifactNotFound("No weights have this id; `expunge consolidate status` shows them.")
    return _artifact(row)


def _artifact(row: Row[Any]) -> Artifact:
    made, verdict = orjson.loads(row.made), orjson.loads(row.verdict)
    return Artifact(
        id=row.id,
        model=row.model,
        version=row.version,
        job_id=row.job_id,
        state=ArtifactState(row.state),
        made=Made(**{**made, "folder": Path(made["folder"])}),
        verdict=Verdict(reasons=tuple(verdict.get("reasons", ())), figures=verdict.get("figures")),
        created_at=from_text(row.created_at),
        decided_at=None if row.decided_at is None else from_text(row.decided_at),
        decided_by=row.decided_by,
    )


def _json(content: Mapping[str, Any]) -> str:
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()


def _audit(kind: str, actor: str, subject: str, data: Mapping[str, Any]) -> AuditRecord:
    return AuditRecord(kind=kind, actor=actor, subject=subject, data=data)


__all__ = [
    "REPLICA_SPAN_S",
    "Artifact",
    "ArtifactState",
    "Artifacts",
    "Made",
    "Replica",
    "Served",
    "Verdict",
]
