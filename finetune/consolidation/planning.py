"""The plan of every served model, written as a row.

    served models + entries + usage + rule -> items (selection.py) -> plan with method and cost

What a run costs is taken from the runs before on this machine; the first time from the model's size.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from finetune.consolidation.ladder import LADDER, rung
from finetune.consolidation.selection import Circumstances, select
from retrieval.consolidations import refusals
from retrieval.coverage import covered_by
from retrieval.entry import RegisteredEntry
from retrieval.jobs import JobState
from retrieval.plans import Cost, ModelPlan
from retrieval.registry import Registry
from retrieval.schedule import Schedule
from retrieval.served_models import ServedModel
from retrieval.usage import usage_of

_PAGE: Final = 500
_RUNS_LOOKED_AT: Final = 50
_SECONDS_A_BYTE: Final = 1.2e-7
"""Of a model's weights, for an entry of 20 facts: 104 s for 0.54 GB and 50 steps of two texts on two cores, doubled for the
judge. A first guess, until a run was timed."""


def make_plans(
    registry: Registry, *, schedule: Schedule, asked_for: Collection[str] = (), now: datetime | None = None
) -> list[ModelPlan]:
    """A plan for every served model, written as its row."""
    now = now or datetime.now(UTC)
    usage = usage_of(registry.audit, since=now - timedelta(days=schedule.rule.within_days))
    records = list(_records(registry))
    plans = []
    for served in registry.served_models.all():
        refused = refusals(registry, served.model)
        circumstances = Circumstances(
            now=now,
            rule=schedule.rule,
            usage=usage,
            covered=covered_by(registry, served.model),
            refused=refused,
            asked_for=asked_for,
            rungs=len(LADDER[served.modality]),
        )
        items = select(records, served, circumstances)
        tried = max((refused.get((item.entry, item.revision), 0) for item in items if item.is_due), default=0)
        plan = ModelPlan(
            model=served.model,
            backend=served.backend,
            modality=served.modality,
            items=items,
            method=rung(served.modality, tried).method,
            cost=None if served.refused else _cost(registry, served),
            refused=served.refused,
        )
        registry.plans.put(plan)
        plans.append(plan)
    return plans


def _records(registry: Registry) -> Iterator[RegisteredEntry]:
    cursor: str | None = None
    while True:
        page = registry.list(limit=_PAGE, cursor=cursor)
        yield from page.items
        if page.next_cursor is None:
            return
        cursor = page.next_cursor


def _cost(registry: Registry, served: ServedModel) -> Cost | None:
    """By the newest job of the model that was carried out; else by the size of its weights, where they lie here."""
    done = (JobState.DONE, JobState.REJECTED, JobState.WAITING)
    for job in registry.jobs.list(model=served.model, limit=_RUNS_LOOKED_AT).items:
        if job.state in done and job.artifact_id is not None:
            return Cost(seconds=(job.updated_at - job.created_at).total_seconds(), measured_by="earlier runs")
    folder = Path(served.base or "")
    if served.base is None or not folder.is_dir():
        return None
    size = sum(one.stat().st_size for one in folder.rglob("*.safetensors"))
    return (
        Cost(seconds=size * _SECONDS_A_BYTE, memory_bytes=4 * size, measured_by="size of the model") if size else None
    )
