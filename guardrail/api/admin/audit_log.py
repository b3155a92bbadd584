"""The audit log over HTTP: pages of hash-chained records, and the check of the whole chain.

Read-only. Records hold ids, revisions, scores and times; whether prompts are among them is the operator's setting.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from guardrail.api.admin.errors import json_response
from guardrail.api.admin.services import AdminServices


class AuditRoutes:
    """`GET /v1/audit` and `GET /v1/audit/verify`."""

    def __init__(self, services: AdminServices) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes for the app."""
        router = APIRouter(prefix="/v1/audit", tags=["audit"])
        router.add_api_route("", self.page, methods=["GET"], response_model=None)
        router.add_api_route("/verify", self.verify, methods=["GET"], response_model=None)
        return router

    async def page(
        self,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        cursor: Annotated[str | None, Query()] = None,
        kind: Annotated[str | None, Query(max_length=64)] = None,
        subject: Annotated[str | None, Query(max_length=128)] = None,
    ) -> Response:
        """A page of records, oldest first; `kind` (entry.created, decision ...) and `subject` (an id) filter."""

        def read() -> dict[str, Any]:
            page = self._services.registry.audit.page(cursor=cursor, limit=limit, kind=kind, subject=subject)
            return {
                "object": "list",
                "data": [dataclasses.asdict(record) for record in page.items],
                "has_more": page.next_cursor is not None,
                "next_cursor": page.next_cursor,
            }

        return json_response(await asyncio.to_thread(read))

    async def verify(self) -> Response:
        """Recomputes the chain. `ok` is false, with the first bad record's id, if a record was changed or taken out."""
        report = await asyncio.to_thread(self._services.registry.audit.verify)
        return json_response({"object": "audit.verification", **dataclasses.asdict(report)})
