"""Which entries cover a caller, quickly: entries grouped by their scope and by whether time matters to them.

Answers "is anything forgotten for this tenant and model now?" without looking at every entry: only the groups that name
the tenant, or all tenants, are looked at. Not thread-safe: one thread owns it. Times are UTC.
"""

from __future__ import annotations

from datetime import datetime

from retrieval.entry import RegisteredEntry, Scope

_Key = tuple[Scope, bool]
"""A scope, and whether its entries are only watched (shadow)."""

EVERY = "*"


class _Group:
    """The entries of one key: ids that are always in force, and entries whose time is limited."""

    __slots__ = ("lasting", "timed")

    def __init__(self) -> None:
        self.lasting: set[str] = set()
        self.timed: dict[str, RegisteredEntry] = {}

    def is_in_force(self, now: datetime) -> bool:
        return bool(self.lasting) or any(record.is_enforced(now) for record in self.timed.values())


class Scopes:
    """Entries by scope."""

    def __init__(self) -> None:
        self._by_tenant: dict[str, dict[_Key, _Group]] = {}
        self._key_of: dict[str, _Key] = {}

    def put(self, record: RegisteredEntry) -> None:
        """Add an entry, or replace what was known of it; a revoked one is dropped."""
        self.drop(record.id)
        if record.revoked_at is not None:
            return
        entry = record.entry
        group = self._group((entry.scope, entry.shadow))
        self._key_of[record.id] = (entry.scope, entry.shadow)
        if entry.effective_at is None and entry.expires_at is None:
            group.lasting.add(record.id)
        else:
            group.timed[record.id] = record

    def drop(self, entry_id: str) -> None:
        """Forget an entry; one that is not there is no error."""
        key = self._key_of.pop(entry_id, None)
        if key is None:
            return
        group = self._group(key)
        group.lasting.discard(entry_id)
        group.timed.pop(entry_id, None)
        if group.lasting or group.timed:
            return
        for tenant in set(key[0].tenants):
            del self._by_tenant[tenant][key]
            if not self._by_tenant[tenant]:
                del self._by_tenant[tenant]

    def _group(self, key: _Key) -> _Group:
        """The group of a key, in its place under each of its tenants."""
        known = self._by_tenant.get(key[0].tenants[0], {}).get(key)
        if known is not None:
            return known
        group = _Group()
        for tenant in key[0].tenants:
            self._by_tenant.setdefault(tenant, {})[key] = group
        return group

    def covers(self, *, tenant: str, model: str | None, now: datetime, acting: bool = False) -> bool:
        """True if at least one entry in force covers this tenant and model (`None`: any model).

        `acting`: entries that are only watched (shadow) do not count.
        """
        for name in {EVERY, tenant}:
            for (scope, is_shadow), group in self._by_tenant.get(name, {}).items():
                if acting and is_shadow:
                    continue
                if scope.admits(tenant=tenant, model=model) and group.is_in_force(now):
                    return True
        return False
