"""Which entries cover a caller, quickly: entries grouped by their scope and by whether time matters to them.

Answers "is anything forgotten for this tenant and model now?" without looking at every entry: there are few scopes and
few timed entries. Not thread-safe: one thread owns it. Times are UTC.
"""

from __future__ import annotations

from datetime import datetime

from retrieval.entry import RegisteredEntry, Scope


class _Group:
    """The entries of one scope: ids that are always in force, and entries whose time is limited."""

    __slots__ = ("lasting", "timed")

    def __init__(self) -> None:
        self.lasting: set[str] = set()
        self.timed: dict[str, RegisteredEntry] = {}


class Scopes:
    """Entries by scope."""

    def __init__(self) -> None:
        self._groups: dict[Scope, _Group] = {}
        self._scope_of: dict[str, Scope] = {}

    def put(self, record: RegisteredEntry) -> None:
        """Add an entry, or replace what was known of it; a revoked one is dropped."""
        self.drop(record.id)
        if record.revoked_at is not None:
            return
        scope = record.entry.scope
        group = self._groups.setdefault(scope, _Group())
        self._scope_of[record.id] = scope
        if record.entry.effective_at is None and record.entry.expires_at is None:
            group.lasting.add(record.id)
        else:
            group.timed[record.id] = record

    def drop(self, entry_id: str) -> None:
        """Forget an entry; one that is not there is no error."""
        scope = self._scope_of.pop(entry_id, None)
        if scope is None:
            return
        group = self._groups[scope]
        group.lasting.discard(entry_id)
        group.timed.pop(entry_id, None)
        if not group.lasting and not group.timed:
            del self._groups[scope]

    def covers(self, *, tenant: str, model: str | None, now: datetime) -> bool:
        """True if at least one entry in force covers this tenant and model (`None`: any model)."""
        for scope, group in self._groups.items():
            if scope.admits(tenant=tenant, model=model) and (
                group.lasting or any(record.is_enforced(now) for record in group.timed.values())
            ):
                return True
        return False
