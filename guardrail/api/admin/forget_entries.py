"""Forget entries over HTTP: create, list, show, revise, revoke.

A change is acknowledged only after this process decides by it; other workers catch up at their next request. Knows
neither how entries are found nor how they are treated. Nothing is written before the whole body is checked.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response

from guardrail.api.admin.accept import TreatmentRules, accept_changes, accept_entry
from guardrail.api.admin.body import decode, decode_object, read_body
from guardrail.api.admin.errors import json_response
from guardrail.api.admin.gate import caller_of
from guardrail.api.admin.services import AdminServices
from guardrail.api.admin.views import brief_view, enforced_at, memory_state, view
from guardrail.errors import ApiError
from retrieval.entry import EntryKind, EntryState, ForgetEntry, RegisteredEntry
from retrieval.errors import EntryConflict
from retrieval.registry import Created

# A revision without a given base is tried again when another one comes between reading and writing.
_REVISE_ATTEMPTS: Final = 3

ENTRY_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ForgetEntry"}}},
    }
}
PATCH_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/merge-patch+json": {"schema": {"type": "object"}}},
    }
}


def actor_of(request: Request) -> str:
    """Who stands in the audit log for this request: the key's id, or `local` where keys are not asked for."""
    caller = caller_of(request.scope)
    return caller.key_id if caller and caller.key_id else "local"


def base_revision(if_match: str | None, if_revision: int | None) -> int | None:
    """The revision that a change is based on, from `If-Match` or `?if_revision=`; None if any will do."""
    if if_match is None or if_match.strip() == "*":
        return if_revision
    digits = if_match.strip().removeprefix("W/").strip('"')
    if not digits.isdecimal() or len(digits) > 18:
        raise ApiError('If-Match must be a revision, such as "12", or *.', param="If-Match", code="invalid_parameter")
    if if_revision is not None and if_revision != int(digits):
        raise ApiError("If-Match and if_revision differ; send one.", param="if_revision", code="invalid_parameter")
    return int(digits)


class EntryRoutes:
    """The routes of one entry or a page of them."""

    def __init__(self, services: AdminServices) -> None:
        self._services = services
        self._rules = TreatmentRules(known=services.treatments, check_values=services.check_values)
        self._limit_bytes = services.settings.server.max_body_bytes

    def router(self) -> APIRouter:
        """The routes for the app."""
        router = APIRouter(prefix="/v1/forget/entries", tags=["forget entries"])
        router.add_api_route(
            "", self.create, methods=["POST"], status_code=201, response_model=None, openapi_extra=ENTRY_BODY
        )
        router.add_api_route("", self.page, methods=["GET"], response_model=None)
        router.add_api_route("/{entry_id}", self.show, methods=["GET"], response_model=None)
        router.add_api_route(
            "/{entry_id}", self.revise, methods=["PATCH"], response_model=None, openapi_extra=PATCH_BODY
        )
        router.add_api_route("/{entry_id}", self.revoke, methods=["DELETE"], response_model=None)
        return router

    async def create(self, request: Request) -> Response:
        """Register one entry. 201 when it is new and enforced; 200 when the same entry is already there."""
        started_s = time.monotonic()
        body = decode(await read_body(request, self._limit_bytes))
        entry = await asyncio.to_thread(accept_entry, body, self._rules)
        created = await asyncio.to_thread(self._store, entry, actor_of(request))
        now = await self.enforce(created.record)
        answer = {
            "object": "forget.entry",
            "id": created.record.id,
            "revision": created.record.revision,
            "state": created.record.state(now).value,
            "enforced_at": enforced_at(created.record, now),
            "memory": await asyncio.to_thread(memory_state, self._services, created.record),
        }
        if created.is_new:
            self._services.registered(time.monotonic() - started_s)
        return json_response(answer, status=201 if created.is_new else 200, headers=_tag(created.record))

    def _store(self, entry: ForgetEntry, actor: str) -> Created:
        memory = self._services.embed(entry, ())
        return self._services.registry.create(entry, actor=actor, memory=memory)

    async def enforce(self, *records: RegisteredEntry) -> datetime:
        """Wait until this process decides by these records; returns that moment. Starts their documents' memory."""
        await self._services.after_change()
        now = datetime.now(UTC)
        for record in records:
            if record.revoked_at is None:
                self._services.build_memory(record)
        return now

    async def page(
        self,
        state: Annotated[EntryState | None, Query()] = None,
        kind: Annotated[EntryKind | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        cursor: Annotated[str | None, Query()] = None,
    ) -> Response:
        """A page of entries, oldest first. `next_cursor` leads to the next page; documents and images are counted."""

        def read() -> dict[str, Any]:
            page = self._services.registry.list(
                state=state, kind=kind.value if kind else None, limit=limit, cursor=cursor
            )
            return {
                "object": "list",
                "data": [brief_view(self._services, record) for record in page.items],
                "has_more": page.next_cursor is not None,
                "next_cursor": page.next_cursor,
            }

        return json_response(await asyncio.to_thread(read))

    async def show(self, entry_id: str) -> Response:
        """One entry in full."""
        return await self._shown(await asyncio.to_thread(self._services.registry.get, entry_id))

    async def revise(
        self,
        request: Request,
        entry_id: str,
        if_revision: Annotated[int | None, Query(ge=0)] = None,
        if_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Change some fields (JSON merge patch: null puts a field back to its default)."""
        changes = decode_object(await read_body(request, self._limit_bytes))
        base = base_revision(if_match, if_revision)
        record = await asyncio.to_thread(self._revise, entry_id, changes, actor_of(request), base)
        await self.enforce(record)
        return await self._shown(record)

    def _revise(self, entry_id: str, changes: dict[str, Any], actor: str, base: int | None) -> RegisteredEntry:
        registry = self._services.registry
        for attempt in range(_REVISE_ATTEMPTS):
            # The memory must belong to the text that is written, so the write names the revision it was made from.
            known = registry.get(entry_id)
            expected = base if base is not None else known.revision
            merged = registry.preview_revision(entry_id, changes)
            accept_changes(changes, merged, self._rules)
            memory = self._services.embed(merged, known.edits)
            try:
                return registry.revise(entry_id, changes, actor=actor, if_revision=expected, memory=memory)
            except EntryConflict:
                if base is not None or attempt == _REVISE_ATTEMPTS - 1:
                    raise
        raise EntryConflict("The entry kept changing; read it again and retry.")

    async def revoke(self, request: Request, entry_id: str) -> Response:
        """Stop enforcing an entry. It stays on record; revoking again changes nothing."""
        record = await asyncio.to_thread(self._services.registry.revoke, entry_id, actor=actor_of(request))
        await self.enforce(record)
        return await self._shown(record)

    async def _shown(self, record: RegisteredEntry) -> Response:
        return json_response(await asyncio.to_thread(view, self._services, record), headers=_tag(record))


def _tag(record: RegisteredEntry) -> dict[str, str]:
    return {"etag": f'"{record.revision}"'}
