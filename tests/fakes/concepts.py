"""Concepts for tests of picture treatments, as the flow would make them of registered entries."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from guardrail.picture_planning import concept_of
from guardrail.pictures import Concept
from retrieval.entry import ForgetEntry, RegisteredEntry


def registered(name: str, kind: str = "object", **fields: Any) -> RegisteredEntry:
    """An entry as the registry holds it; its id is its name."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    entry = ForgetEntry.model_validate({"name": name, "kind": kind, **fields})
    return RegisteredEntry(id=name.replace(" ", "-"), revision=1, entry=entry, created_at=now, updated_at=now)


def concept(name: str, kind: str = "object", *, met: tuple[tuple[int, int], ...] = (), **fields: Any) -> Concept:
    """A concept; `fields` are those of a forget entry."""
    return concept_of(registered(name, kind, **fields), met=met)
