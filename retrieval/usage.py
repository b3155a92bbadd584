"""How much an entry has had to do: requests that touched it, leaks that were caught, the guard's time. From the audit log.

Only what the log keeps counts: ids and times, never text. Decisions are read newest first, so many at most.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from retrieval.stores.audit_chain import AuditLog, LoggedRecord
from retrieval.stores.timestamps import from_text, to_text

MOST_RECORDS = 200_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Of one entry, since a moment. `guard_s` is the guard's time on requests that touched it."""

    hits: int = 0
    leaks: int = 0
    guard_s: float = 0.0
    last_hit_at: datetime | None = None


def usage_of(audit: AuditLog, *, since: datetime, most: int = MOST_RECORDS) -> Mapping[str, Usage]:
    """By entry id; entries that nothing touched are not in it."""
    begin = to_text(since)
    return counted(audit.newest("decision", since=begin, most=most), audit.newest("leak", since=begin, most=most))


def counted(decisions: Iterable[LoggedRecord], leaks: Iterable[LoggedRecord]) -> Mapping[str, Usage]:
    """The records summed up, entry by entry."""
    hits: dict[str, int] = defaultdict(int)
    caught: dict[str, int] = defaultdict(int)
    spent: dict[str, float] = defaultdict(float)
    last: dict[str, str] = {}
    for record in decisions:
        for one in record.data.get("entries") or ():
            entry_id = str(one["id"])
            hits[entry_id] += 1
            spent[entry_id] += float(record.data.get("ms") or 0.0) / 1000
            last[entry_id] = max(last.get(entry_id, ""), record.at)
    for record in leaks:
        caught[str(record.data["entry"])] += 1
    return {
        entry_id: Usage(
            hits=hits[entry_id],
            leaks=caught[entry_id],
            guard_s=spent[entry_id],
            last_hit_at=from_text(last[entry_id]) if entry_id in last else None,
        )
        for entry_id in {*hits, *caught}
    }
