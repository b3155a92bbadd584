"""Importing entries: an NDJSON stream, read line by line, registered whole or line by line.

`atomic=true` registers all lines or none; it holds the entries in memory, so it is limited. `atomic=false` registers
batch after batch and reports on each line. A line without an id gets one made of its content, so that sending a file
again after a break changes nothing that is already there. Line numbers count from 1; sizes are bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from guardrail.api.admin.accept import TreatmentRules, accept_entry, with_content_id
from guardrail.api.admin.body import Line, decode, read_lines
from guardrail.api.admin.errors import as_api_error, json_response
from guardrail.api.admin.forget_entries import actor_of
from guardrail.api.admin.services import AdminServices
from guardrail.api.admin.views import rfc3339
from guardrail.errors import ApiError
from retrieval.entry import ForgetEntry, RegisteredEntry
from retrieval.errors import EntryConflict, EntryNotFound, RetrievalError
from retrieval.registry import Created

if TYPE_CHECKING:
    from guardrail.api.admin.forget_entries import EntryRoutes

BATCH_LINES: Final = 64
LONG_LINE_BYTES: Final = 64 * 1024
ATOMIC_LIMIT_LINES: Final = 100_000
ATOMIC_LIMIT_BYTES: Final = 256 * 1024 * 1024

IMPORT_BODY: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {"application/x-ndjson": {"schema": {"type": "string"}}}}
}


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberedEntry:
    """An accepted line."""

    line: int
    entry: ForgetEntry


@dataclass(kw_only=True, slots=True)
class ImportReport:
    """What became of each line."""

    created: int = 0
    unchanged: int = 0
    failed: int = 0
    lines: list[dict[str, Any]] = field(default_factory=list)
    records: list[RegisteredEntry] = field(default_factory=list)

    def add(self, line: int, created: Created) -> None:
        """A line is registered."""
        record = created.record
        self.created += created.is_new
        self.unchanged += not created.is_new
        status = "created" if created.is_new else "unchanged"
        self.lines.append({"line": line, "status": status, "id": record.id, "revision": record.revision})
        if created.is_new:
            self.records.append(record)

    def fail(self, line: int, error: ApiError) -> None:
        """A line is refused."""
        self.failed += 1
        shown = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
        self.lines.append({"line": line, "status": "error", "error": shown})

    def answer(self, enforced: str) -> dict[str, Any]:
        """The report as JSON, lines in order."""
        self.lines.sort(key=lambda shown: int(shown["line"]))
        return {
            "object": "forget.import",
            "created": self.created,
            "unchanged": self.unchanged,
            "failed": self.failed,
            "enforced_at": enforced,
            "lines": self.lines,
        }


def at_line(number: int, error: ApiError, note: str = "") -> ApiError:
    """The error with its line number."""
    return ApiError(
        f"Line {number}: {error.message}{note}",
        status=error.status,
        type=error.type,
        param=error.param,
        code=error.code,
    )


def _too_much() -> ApiError:
    limits = f"{ATOMIC_LIMIT_LINES} lines or {ATOMIC_LIMIT_BYTES} bytes"
    message = f"An atomic import takes at most {limits}; split it, or send it with ?atomic=false."
    return ApiError(message, status=413, code="body_too_large")


class ImportRoute:
    """`POST /v1/forget/entries:import`."""

    def __init__(self, services: AdminServices, entries: EntryRoutes) -> None:
        self._services = services
        self._rules = TreatmentRules(known=services.treatments, check_values=services.check_values)
        self._entries = entries
        self._line_limit_bytes = services.settings.server.max_body_bytes

    def router(self) -> APIRouter:
        """The route for the app."""
        router = APIRouter(tags=["forget entries"])
        router.add_api_route(
            "/v1/forget/entries:import",
            self.import_entries,
            methods=["POST"],
            response_model=None,
            openapi_extra=IMPORT_BODY,
        )
        return router

    async def import_entries(self, request: Request, atomic: Annotated[bool, Query()] = True) -> Response:
        """Register an NDJSON stream of entries: all or none (`atomic=true`), or as many as are right, with a report."""
        lines = read_lines(request.stream(), line_limit_bytes=self._line_limit_bytes)
        actor = actor_of(request)
        report = await (self._whole(lines, actor) if atomic else self._by_line(lines, actor))
        now = await self._entries.enforce(*report.records)
        return json_response(report.answer(rfc3339(now)))

    async def _accepted(self, line: Line) -> NumberedEntry:
        """`_accept`; long lines hold pictures, which are opened in a thread."""
        if len(line.raw) < LONG_LINE_BYTES:
            return self._accept(line)
        return await asyncio.to_thread(self._accept, line)

    def _accept(self, line: Line) -> NumberedEntry:
        """The entry of a line; raises `ApiError` without the line number."""
        try:
            entry = accept_entry(decode(line.raw, what="The line"), self._rules)
        except RetrievalError as error:
            raise as_api_error(error) from None
        return NumberedEntry(line=line.number, entry=with_content_id(entry))

    async def _whole(self, lines: AsyncIterator[Line], actor: str) -> ImportReport:
        accepted: list[NumberedEntry] = []
        errors: list[tuple[int, ApiError]] = []
        size_bytes = 0
        # All lines are read even after a wrong one: a sender that is cut off mid-way would not see the answer.
        async for line in lines:
            size_bytes += len(line.raw)
            if len(accepted) >= ATOMIC_LIMIT_LINES or size_bytes > ATOMIC_LIMIT_BYTES:
                raise _too_much()
            try:
                accepted.append(await self._accepted(line))
            except ApiError as error:
                errors.append((line.number, error))
        if errors:
            others = f" {len(errors) - 1} more lines are wrong." if len(errors) > 1 else ""
            raise at_line(*errors[0], note=f"{others} Nothing was registered.")
        report = ImportReport()
        if accepted:
            created = await asyncio.to_thread(self._store, accepted, actor)
            for numbered, one in zip(accepted, created, strict=True):
                report.add(numbered.line, one)
        return report

    async def _by_line(self, lines: AsyncIterator[Line], actor: str) -> ImportReport:
        report = ImportReport()
        batch: list[NumberedEntry] = []
        async for line in lines:
            try:
                batch.append(await self._accepted(line))
            except ApiError as error:
                report.fail(line.number, error)
            if len(batch) >= BATCH_LINES:
                await asyncio.to_thread(self._store_each, batch, actor, report)
                batch = []
        if batch:
            await asyncio.to_thread(self._store_each, batch, actor, report)
        return report

    def _store(self, accepted: Sequence[NumberedEntry], actor: str) -> list[Created]:
        """All in one transaction; raises `ApiError` naming the line that conflicts."""
        items = [(numbered.entry, self._services.embed(numbered.entry, ())) for numbered in accepted]
        try:
            return list(self._services.registry.create_many(items, actor=actor))
        except EntryConflict as error:
            number = self._conflicting_line(accepted)
            shown = as_api_error(error)
            raise at_line(number, shown, note=" Nothing was registered.") if number else shown from None

    def _store_each(self, batch: Sequence[NumberedEntry], actor: str, report: ImportReport) -> None:
        """One transaction for the batch where possible; line by line if one conflicts."""
        items = [(numbered.entry, self._services.embed(numbered.entry, ())) for numbered in batch]
        try:
            for numbered, created in zip(batch, self._services.registry.create_many(items, actor=actor), strict=True):
                report.add(numbered.line, created)
            return
        except EntryConflict:
            pass
        for numbered, (entry, memory) in zip(batch, items, strict=True):
            try:
                report.add(numbered.line, self._services.registry.create(entry, actor=actor, memory=memory))
            except EntryConflict as error:
                report.fail(numbered.line, as_api_error(error))

    def _conflicting_line(self, accepted: Sequence[NumberedEntry]) -> int | None:
        """The first line whose id is taken by another body, in the registry or by an earlier line."""
        seen: dict[str, ForgetEntry] = {}
        for numbered in accepted:
            entry = numbered.entry
            if entry.id is None:
                continue
            if seen.setdefault(entry.id, entry) != entry:
                return numbered.line
            try:
                held = self._services.registry.get(entry.id)
            except EntryNotFound:
                continue
            if held.revoked_at is not None or held.entry != entry:
                return numbered.line
        return None
