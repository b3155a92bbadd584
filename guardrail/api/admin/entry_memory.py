"""The memory of one entry over HTTP: every item that is remembered, switched on and off, added and removed.

For operators only: items are entry text. What was given is changed where it was given; what was derived from it can be
switched off; what was added can be removed. A change is acknowledged after this process decides by it.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from guardrail.api.admin.body import decode_object, read_body
from guardrail.api.admin.errors import json_response
from guardrail.api.admin.forget_entries import actor_of, base_revision
from guardrail.api.admin.services import AdminServices
from guardrail.api.admin.views import memory_state
from guardrail.errors import ApiError
from retrieval.entry import MemoryEdit, RegisteredEntry
from retrieval.memory.items import MemoryItem, added, items_of
from retrieval.stores.edit_rows import merged_edits

_CHANGES_LIMIT: Final = 1_000
MEMORY_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/MemoryChange"}}},
    }
}


class AddedItem(BaseModel):
    """An item to add. An alias is unmistakable (decides alone, as the name does) unless this says otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    kind: str
    text: str = Field(min_length=1, max_length=8_192)
    is_unmistakable: bool | None = None

    def edit(self) -> MemoryEdit:
        """As the registry keeps it; raises `InvalidEntry`."""
        unmistakable = self.kind == "alias" if self.is_unmistakable is None else self.is_unmistakable
        return added(self.kind, self.text, is_unmistakable=unmistakable)


class MemoryChange(BaseModel):
    """What a PATCH may ask for: ids to switch off or on, items to add, ids of added items to remove."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    disable: tuple[str, ...] = Field(default=(), max_length=_CHANGES_LIMIT)
    enable: tuple[str, ...] = Field(default=(), max_length=_CHANGES_LIMIT)
    add: tuple[AddedItem, ...] = Field(default=(), max_length=_CHANGES_LIMIT)
    remove: tuple[str, ...] = Field(default=(), max_length=_CHANGES_LIMIT)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Edits:
    """A change as the registry takes it."""

    put: Sequence[MemoryEdit]
    remove: Sequence[str]


class MemoryRoutes:
    """`GET` and `PATCH /v1/forget/entries/{id}/memory`. `enforce` waits until this process decides by a record."""

    def __init__(self, services: AdminServices, enforce: Callable[[RegisteredEntry], Awaitable[datetime]]) -> None:
        self._services = services
        self._enforce = enforce

    def router(self) -> APIRouter:
        """The routes for the app."""
        router = APIRouter(prefix="/v1/forget/entries", tags=["forget entries"])
        path = "/{entry_id}/memory"
        router.add_api_route(path, self.show, methods=["GET"], response_model=None)
        router.add_api_route(path, self.change, methods=["PATCH"], response_model=None, openapi_extra=MEMORY_BODY)
        return router

    async def show(
        self,
        entry_id: str,
        kind: Annotated[str | None, Query(max_length=32)] = None,
        source: Annotated[Literal["given", "derived", "elicited"] | None, Query()] = None,
    ) -> Response:
        """Everything that is remembered of an entry, what is switched off too; `kind` and `source` filter."""

        def read() -> Response:
            record = self._services.registry.get(entry_id)
            return self._shown(record, lambda item: kind in (None, item.kind) and source in (None, item.source))

        return await asyncio.to_thread(read)

    async def change(
        self,
        request: Request,
        entry_id: str,
        if_revision: Annotated[int | None, Query(ge=0)] = None,
        if_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Switch items off or on, add items, remove added ones; all or none. Answers with the items that it named."""
        asked = _parsed(decode_object(await read_body(request, self._services.settings.server.max_body_bytes)))
        base = base_revision(if_match, if_revision)
        record, edits = await asyncio.to_thread(self._change, entry_id, asked, actor_of(request), base)
        await self._enforce(record)
        named = {*asked.disable, *asked.enable, *(edit.item_id for edit in edits.put)}
        return await asyncio.to_thread(self._shown, record, lambda item: item.id in named)

    def _change(
        self, entry_id: str, asked: MemoryChange, actor: str, base: int | None
    ) -> tuple[RegisteredEntry, _Edits]:
        registry = self._services.registry
        record = registry.get(entry_id)
        edits = _edits(record, asked)
        merged = merged_edits(record.edits, edits.put, edits.remove)
        memory = self._services.embed(record.entry, merged)
        # The memory belongs to the record that was read: a change in between is a conflict.
        expected = base if base is not None else record.revision
        changed = registry.memory_edits.change(
            entry_id, put=edits.put, remove=edits.remove, actor=actor, if_revision=expected, memory=memory
        )
        return changed, edits

    def _shown(self, record: RegisteredEntry, wanted: Callable[[MemoryItem], bool]) -> Response:
        items = [dataclasses.asdict(item) for item in items_of(record.entry, record.edits) if wanted(item)]
        answer = {
            "object": "forget.memory",
            "id": record.id,
            "revision": record.revision,
            "memory": memory_state(self._services, record),
            "items": items,
        }
        return json_response(answer, headers={"etag": f'"{record.revision}"'})


def _parsed(body: Mapping[str, Any]) -> MemoryChange:
    try:
        change = MemoryChange.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        param = ".".join(map(str, first["loc"]))
        known = f" Known: {', '.join(MemoryChange.model_fields)}." if first["type"] == "extra_forbidden" else ""
        raise ApiError(f"Field '{param}': {first['msg']}.{known}", param=param, code="invalid_memory") from None
    if not (change.disable or change.enable or change.add or change.remove):
        raise ApiError("Nothing to change: give disable, enable, add or remove.", code="invalid_memory")
    return change


def _edits(record: RegisteredEntry, asked: MemoryChange) -> _Edits:
    """The change as edits; raises a 400 or 404 that names the item's id."""
    items = {item.id: item for item in items_of(record.entry, record.edits)}
    known = {edit.item_id: edit for edit in record.edits}
    put: dict[str, MemoryEdit] = {}
    remove: list[str] = []
    for item_id in asked.remove:
        if item_id not in known or not known[item_id].text:
            raise _wrong(
                item_id, "is none that was added; only added items can be removed, others switched off", "remove"
            )
        remove.append(item_id)
    for field, enabled in (("disable", False), ("enable", True)):
        for item_id in getattr(asked, field):
            item = items.get(item_id)
            if item is None:
                raise _wrong(item_id, "is not there; GET this address lists the items", field, status=404)
            if item.source == "given" and item_id not in known:
                raise _wrong(item_id, "is a field of the entry; PATCH the entry itself to change it", field)
            if item_id in known and known[item_id].text:
                put[item_id] = known[item_id].model_copy(update={"enabled": enabled})
            elif enabled:
                remove.append(item_id)  # a derived item is on unless an edit says otherwise
            else:
                put[item_id] = MemoryEdit(item_id=item_id, kind=item.kind, enabled=False)
    for one in asked.add:
        edit = one.edit()
        if edit.item_id not in known and edit.item_id in items and items[edit.item_id].source == "given":
            raise _wrong(edit.item_id, "is a field of the entry already", "add")
        put[edit.item_id] = edit
    return _Edits(put=list(put.values()), remove=[item_id for item_id in remove if item_id in known])


def _wrong(item_id: str, what: str, param: str, *, status: int = 400) -> ApiError:
    shown = f"'{item_id}'" if len(item_id) <= 64 and item_id.isascii() else "of this id"
    code = "not_found" if status == 404 else "invalid_memory"
    return ApiError(f"The item {shown} {what}.", status=status, param=param, code=code)
