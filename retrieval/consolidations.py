"""Beginning a consolidation from a plan, and taking weights into service or out of it by an operator's word.

Whoever begins one (a worker by the schedule, an operator over the control API) makes the same job. It knows rows, not how
jobs are carried out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from retrieval.artifacts import Artifact, ArtifactState, Served
from retrieval.coverage import settle
from retrieval.errors import JobConflict
from retrieval.job_request import JobRequest
from retrieval.jobs import Job
from retrieval.plans import ModelPlan, PlanItem
from retrieval.registry import Registry
from retrieval.schedule import Schedule


def refusals(registry: Registry, model: str) -> Mapping[tuple[str, int], int]:
    """How often the gate refused weights that were made for an entry at its revision."""
    refused = [one for one in registry.artifacts.of_model(model) if one.state is ArtifactState.REJECTED]
    return Counter(pair for one in refused for pair in one.made.covers.items())


def begin(
    registry: Registry,
    plan: ModelPlan,
    *,
    schedule: Schedule,
    actor: str,
    asked_for: Sequence[str] = (),
    chosen: Mapping[str, Any] | None = None,
) -> Job:
    """A job for what is due and what an operator asks for; `chosen` are fields of `JobRequest` in the place of the
    schedule's. Raises `JobConflict` where nothing is due, an entry may not get into weights, or the model has a job."""
    served = {one.model: one for one in registry.served_models.all()}.get(plan.model)
    if served is None or served.base is None:
        why = plan.refused or "no proxy serves it"
        raise JobConflict(f"Nothing can be consolidated on '{plan.model}': {why}.")
    items = {item.entry: item for item in plan.items}
    due = {item.entry: item.reason for item in plan.due}
    for entry_id in asked_for:
        due[entry_id] = _asked_for(registry, items.get(entry_id), entry_id)
    if not due:
        raise JobConflict(f"Nothing is due on '{plan.model}'; name entries, or wait until the rule is reached.")
    refused = refusals(registry, plan.model)
    entries = plan.covered_then | {entry_id: items[entry_id].revision for entry_id in due}
    values: dict[str, Any] = {
        "rung": max(refused.get((entry_id, entries[entry_id]), 0) for entry_id in due),
        "needs_approval": schedule.needs_approval,
        "canary_share": schedule.canary_share,
        **(chosen or {}),
    }
    request = JobRequest(
        modality=plan.modality, backend=plan.backend, base=served.base, entries=entries, due=due, **values
    )
    return registry.jobs.add(plan.model, request.model_dump(mode="json"), actor=actor)


def publish(registry: Registry, artifact: Artifact, *, actor: str) -> Served:
    """Approved weights answer every request from now on: promotes a canary, or brings back what was rolled back."""
    served = registry.artifacts.serve(artifact.model, artifact.id, actor=actor)
    settle(registry, actor=actor, reason=f"weights {artifact.id} serve")
    return served


def roll_back(registry: Registry, model: str, *, actor: str) -> Served:
    """What served before answers again; entries that it does not cover are suppressed in context."""
    served = registry.artifacts.roll_back(model, actor=actor)
    settle(registry, actor=actor, reason="rolled back")
    return served


def _asked_for(registry: Registry, item: PlanItem | None, entry_id: str) -> str:
    if item is None:
        record = registry.get(entry_id)  # raises for one that there is not
        raise JobConflict(f"Entry '{record.id}' is not planned yet; workers plan every few minutes, so try again then.")
    if item.is_covered:
        raise JobConflict(f"Entry '{entry_id}' is covered by the weights that serve.")
    if not item.is_allowed:
        raise JobConflict(f"Entry '{entry_id}': {item.reason}.")
    return "asked for by an operator"
