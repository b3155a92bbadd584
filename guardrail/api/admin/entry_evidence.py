"""What an auditor asks about one entry: when it was asked for and enforced, how often it acted, which weights cover it by
which figures, and what is not promised. As JSON, or as one HTML page (`evidence_page.py`).

Read from the registry and its audit chain; no text of the entry is in it. Every report's hash goes into the chain, so that
a copy can later be held against the log.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import orjson
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from guardrail.api.admin.errors import json_response
from guardrail.api.admin.evidence_page import page_of
from guardrail.api.admin.forget_entries import actor_of
from guardrail.api.admin.services import AdminServices
from guardrail.api.admin.views import rfc3339
from retrieval.artifacts import Artifact
from retrieval.audit_log import AuditRecord, LoggedRecord
from retrieval.entry import RegisteredEntry
from retrieval.stores.timestamps import to_text
from retrieval.usage import MOST_RECORDS

NOT_GUARANTEED: Final = (
    "Suppression is not erasure: until weights cover the entry, the served model itself still knows it.",
    "Weights that pass every test here may still give it away to tests that were not made.",
    "Counts are of what the audit log kept; requests before the entry was registered, or past this proxy, are in none.",
)
_HISTORY: Final = 500


class EvidenceRoute:
    """`GET /v1/forget/entries/{id}/evidence`."""

    def __init__(self, services: AdminServices) -> None:
        self._services, self._registry = services, services.registry

    def router(self) -> APIRouter:
        """The route for the app."""
        router = APIRouter(tags=["forget entries"])
        router.add_api_route("/v1/forget/entries/{entry_id}/evidence", self.show, methods=["GET"], response_model=None)
        return router

    async def show(
        self, request: Request, entry_id: str, format: Annotated[Literal["json", "html"], Query()] = "json"
    ) -> Response:
        """The report, whose SHA-256 is written to the audit log."""
        report = await asyncio.to_thread(self._report, entry_id, actor_of(request))
        if format == "html":
            return Response(page_of(report), media_type="text/html; charset=utf-8")
        return json_response(report)

    def _report(self, entry_id: str, actor: str) -> dict[str, Any]:
        record = self._registry.get(entry_id)
        history = self._history(entry_id)
        since = to_text(record.created_at)
        touched = list(self._touching(entry_id, since))
        leaks = [
            one
            for one in self._registry.audit.newest("leak", since=since, most=MOST_RECORDS)
            if one.subject == entry_id
        ]
        content: dict[str, Any] = {
            "object": "forget.evidence",
            "made_at": rfc3339(datetime.now(UTC)),
            "entry": _entry(record, history),
            "acted": _acted(touched, leaks),
            "weights": [_weights(one) for one in self._covering(entry_id)],
            "verification": next((dict(one.data) for one in reversed(history) if one.kind == "entry.probed"), None),
            "history": [{"id": one.id, "at": one.at, "kind": one.kind, "hash": one.hash} for one in history],
            "not_guaranteed": list(NOT_GUARANTEED),
        }
        digest = hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()
        made = AuditRecord(kind="entry.evidence", actor=actor, subject=entry_id, data={"sha256": digest})
        self._registry.audit.append([made])
        return {**content, "sha256": digest}

    def _history(self, entry_id: str) -> list[LoggedRecord]:
        """What happened to the entry itself, oldest first, without the leaks."""
        found: list[LoggedRecord] = []
        cursor: str | None = None
        while len(found) < _HISTORY:
            page = self._registry.audit.page(subject=entry_id, limit=_HISTORY, cursor=cursor)
            found += [one for one in page.items if one.kind.startswith("entry.")]
            if page.next_cursor is None:
                break
            cursor = page.next_cursor
        return found[:_HISTORY]

    def _touching(self, entry_id: str, since: str) -> Iterator[LoggedRecord]:
        for one in self._registry.audit.newest("decision", since=since, most=MOST_RECORDS):
            met = (*(one.data.get("entries") or ()), *(one.data.get("resting") or ()))
            if any(item["id"] == entry_id for item in met):
                yield one

    def _covering(self, entry_id: str) -> list[Artifact]:
        models = [served.model for served in self._registry.artifacts.all_served()]
        return [
            one for model in models for one in self._registry.artifacts.of_model(model) if entry_id in one.made.covers
        ]


def _entry(record: RegisteredEntry, history: Sequence[LoggedRecord]) -> dict[str, Any]:
    asked = next((one for one in history if one.kind == "entry.created"), None)
    return {
        "id": record.id,
        "kind": record.entry.kind.value,
        "revision": record.revision,
        "state": record.state().value,
        "reason": record.entry.reason,
        "reference": record.entry.reference,
        "asked_at": rfc3339(record.created_at),
        "asked_by": asked.actor if asked is not None else None,
        "enforced_since": rfc3339(record.entry.effective_at or record.created_at),
        "revoked_at": rfc3339(record.revoked_at) if record.revoked_at else None,
    }


def _acted(touched: Sequence[LoggedRecord], leaks: Sequence[LoggedRecord]) -> dict[str, Any]:
    by_day = Counter(one.at[:10] for one in touched)
    actions = Counter(str(one.data.get("action")) for one in touched)
    return {
        "requests": len(touched),
        "by_action": dict(sorted(actions.items())),
        "leaks_caught": len(leaks),
        "last_request_at": max((one.at for one in touched), default=None),
        "requests_by_day": dict(sorted(by_day.items())),
        "is_complete": len(touched) < MOST_RECORDS,
    }


def _weights(artifact: Artifact) -> dict[str, Any]:
    return {
        "id": artifact.id,
        "model": artifact.model,
        "version": artifact.version,
        "state": artifact.state.value,
        "method": artifact.made.method,
        "base": artifact.made.base,
        "manifest_sha256": artifact.made.manifest_sha256,
        "reasons": list(artifact.verdict.reasons),
        "figures": artifact.verdict.figures,
        "decided_by": artifact.decided_by,
    }
