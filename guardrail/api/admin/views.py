"""How registered entries look in answers: the entry as given plus id, revision, state, times and memory.

Knows the registry only to ask whether an entry's memory is complete. Times are RFC 3339 in UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from retrieval.entry import EntryState, RegisteredEntry

if TYPE_CHECKING:
    from guardrail.api.admin.services import AdminServices

# Long fields that a list only counts; `GET` of one entry shows them.
_LONG_FIELDS = ("documents", "images")


def rfc3339(moment: datetime) -> str:
    """RFC 3339 in UTC with a trailing Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def memory_state(services: AdminServices, record: RegisteredEntry) -> str:
    """`ready`, or `building` while the memory of documents is being made. Reads the store: call it in a thread."""
    if services.settings.retrieval.embedder == "none" or record.revoked_at is not None:
        return "ready"
    is_asked = record.elicited_at is not None or not services.settings.memory.elicitation
    return "ready" if is_asked and services.registry.memory_ready(record.id) else "building"


def enforced_at(record: RegisteredEntry, now: datetime) -> str | None:
    """From when the entry takes part in decisions: `now`, its own later `effective_at`, or None when it never will."""
    if record.is_enforced(now):
        return rfc3339(now)
    if record.state(now) is EntryState.SCHEDULED and record.entry.effective_at is not None:
        return rfc3339(record.entry.effective_at)
    return None


def view(services: AdminServices, record: RegisteredEntry) -> dict[str, Any]:
    """One entry in full. Reads the store: call it in a thread."""
    return {
        "object": "forget.entry",
        **record.entry.model_dump(mode="json"),
        "id": record.id,
        "revision": record.revision,
        "state": record.state().value,
        "created_at": rfc3339(record.created_at),
        "updated_at": rfc3339(record.updated_at),
        "revoked_at": rfc3339(record.revoked_at) if record.revoked_at else None,
        "memory": memory_state(services, record),
    }


def brief_view(services: AdminServices, record: RegisteredEntry) -> dict[str, Any]:
    """One entry in a list: documents and images are only counted. Reads the store: call it in a thread."""
    shown = view(services, record)
    for field in _LONG_FIELDS:
        shown[f"{field}_count"] = len(shown.pop(field))
    return shown
