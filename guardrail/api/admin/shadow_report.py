"""What would have been: entries in shadow are decided and recorded, and this sums the records up, entry by entry.

Read from the audit log, which holds ids, scores and times, never text. Only requests are counted: what an answer alone
would have told is not recorded in shadow. A share is null where only matched decisions are kept (`audit.decisions`).
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import AwareDatetime

from guardrail.api.admin.errors import json_response
from guardrail.api.admin.services import AdminServices
from guardrail.api.admin.views import rfc3339
from retrieval.entry import EntryState, RegisteredEntry
from retrieval.errors import EntryNotFound
from retrieval.registry import Registry
from retrieval.stores.audit_chain import LoggedRecord
from retrieval.stores.timestamps import to_text

BUCKETS: Final = 10
"""Columns of a score histogram over 0..1."""

ENTRIES_LIMIT: Final = 1_000
"""Most entries of one report; those that would have changed most come first."""

_FROM_THE_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(kw_only=True, slots=True)
class Tally:
    """What was decided for one entry in shadow."""

    met: int = 0
    would_change: int = 0
    scores: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    by_tenant: Counter[str] = field(default_factory=Counter)
    by_model: Counter[str] = field(default_factory=Counter)

    def add(self, score: float, *, would_change: bool, tenant: str, model: str) -> None:
        """One decision that met the entry."""
        self.met += 1
        self.scores[min(int(score * BUCKETS), BUCKETS - 1)] += 1
        if would_change:
            self.would_change += 1
            self.by_tenant[tenant] += 1
            self.by_model[model] += 1


@dataclass(kw_only=True, slots=True)
class Seen:
    """All decisions that were read: how many there were for whom, and what they met in shadow."""

    times: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    tallies: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    decisions: int = 0
    oldest: str = ""

    def take(self, record: LoggedRecord) -> None:
        """One record of a decision; records come newest first."""
        data = record.data
        tenant, model = str(data.get("tenant") or record.actor), str(data.get("model") or "")
        self.decisions += 1
        self.oldest = record.at
        self.times[tenant, model].append(record.at)
        for one in data.get("shadow") or ():
            tally = self.tallies[str(one["id"])]
            tally.add(float(one["score"]), would_change=bool(one.get("would_change", True)), tenant=tenant, model=model)

    def in_scope(self, record: RegisteredEntry) -> int:
        """How many decisions were taken for callers in the entry's scope since it was registered."""
        since = to_text(record.created_at)
        return sum(
            len(times) - bisect_left(times, since)
            for (tenant, model), times in self.times.items()
            if record.entry.scope.admits(tenant=tenant, model=model or None)
        )


def read_decisions(records: Iterable[LoggedRecord]) -> Seen:
    """The decisions summed up."""
    seen = Seen()
    for record in records:
        seen.take(record)
    for times in seen.times.values():
        times.sort()
    return seen


class ShadowReportRoute:
    """`GET /v1/forget/shadow-report`."""

    def __init__(self, services: AdminServices) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The route for the app."""
        router = APIRouter(tags=["forget entries"])
        router.add_api_route("/v1/forget/shadow-report", self.report, methods=["GET"], response_model=None)
        return router

    async def report(
        self,
        since: Annotated[AwareDatetime | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=1_000_000)] = 100_000,
    ) -> Response:
        """What entries in shadow would have changed, from at most `limit` decisions since `since`, the newest.

        `is_complete` is false where there were more decisions than that.
        """
        return json_response(await asyncio.to_thread(self._read, since or _FROM_THE_BEGINNING, limit))

    def _read(self, since: datetime, limit: int) -> dict[str, Any]:
        registry = self._services.registry
        records = registry.audit.newest("decision", since=to_text(since), most=limit + 1)
        seen = read_decisions(islice(records, limit))
        is_complete = next(records, None) is None
        keeps_all = self._services.settings.audit.decisions == "all"
        found = _entries(registry, seen)
        return {
            "object": "forget.shadow_report",
            "since": seen.oldest or None,
            "decisions": seen.decisions,
            "is_complete": is_complete,
            "score_buckets": BUCKETS,
            "entries": [_told(record, seen, keeps_all=keeps_all) for record in found],
        }


def _entries(registry: Registry, seen: Seen) -> Sequence[RegisteredEntry]:
    """Entries that were met in shadow, and those in shadow that nothing met; revoked ones only if they were met."""
    found: dict[str, RegisteredEntry] = {}
    ranked = sorted(seen.tallies, key=lambda entry_id: (-seen.tallies[entry_id].would_change, entry_id))
    for entry_id in ranked[:ENTRIES_LIMIT]:
        try:
            found[entry_id] = registry.get(entry_id)
        except EntryNotFound:
            continue  # purged since
    for record in registry.list(state=EntryState.SHADOW, limit=ENTRIES_LIMIT).items:
        if len(found) < ENTRIES_LIMIT:
            found.setdefault(record.id, record)
    return list(found.values())


def _told(record: RegisteredEntry, seen: Seen, *, keeps_all: bool) -> Mapping[str, Any]:
    tally = seen.tallies.get(record.id) or Tally()
    requests = seen.in_scope(record) if keeps_all else None
    return {
        "id": record.id,
        "name": record.entry.name,
        "state": record.state().value,
        "created_at": rfc3339(record.created_at),
        "requests": requests,
        "met": tally.met,
        "would_change": tally.would_change,
        "share": round(tally.would_change / requests, 6) if requests else None,
        "scores": tally.scores,
        "by_tenant": dict(tally.by_tenant.most_common()),
        "by_model": dict(tally.by_model.most_common()),
    }
