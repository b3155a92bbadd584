"""Scopes: is anything forgotten for this tenant and model now? Checked against looking at every entry."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from retrieval.entry import ForgetEntry, RegisteredEntry, Scope
from retrieval.scopes import Scopes

NOW = datetime(2026, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def record(entry_id: str = "a", *, revoked: bool = False, **fields: Any) -> RegisteredEntry:
    scope = Scope(**fields.pop("scope", {}))
    entry = ForgetEntry(name="x", scope=scope, **fields)
    gone = NOW if revoked else None
    return RegisteredEntry(id=entry_id, revision=1, entry=entry, created_at=NOW, updated_at=NOW, revoked_at=gone)


def covers(scopes: Scopes, tenant: str = "t", model: str | None = "m", now: datetime = NOW, **how: bool) -> bool:
    return scopes.covers(tenant=tenant, model=model, now=now, **how)


def test_nothing_covers_nobody() -> None:
    assert not covers(Scopes())


def test_an_entry_covers_whom_it_names() -> None:
    scopes = Scopes()
    scopes.put(record(scope={"tenants": ("t", "u"), "models": ("m",)}))
    assert covers(scopes)
    assert covers(scopes, tenant="u")
    assert covers(scopes, model=None)
    assert not covers(scopes, tenant="v")
    assert not covers(scopes, model="other")


@pytest.mark.parametrize(
    ("fields", "at", "expected"),
    [
        ({"effective_at": NOW + HOUR}, NOW, False),
        ({"effective_at": NOW + HOUR}, NOW + HOUR, True),
        ({"expires_at": NOW + HOUR}, NOW, True),
        ({"expires_at": NOW + HOUR}, NOW + HOUR, False),
    ],
)
def test_times_are_looked_at_when_asked(fields: dict[str, Any], at: datetime, expected: bool) -> None:
    scopes = Scopes()
    scopes.put(record(**fields))
    assert covers(scopes, now=at) is expected


def test_a_change_of_scope_and_a_revocation_take_the_old_place_away() -> None:
    scopes = Scopes()
    scopes.put(record(scope={"tenants": ("t",)}))
    scopes.put(record(scope={"tenants": ("u",)}))
    assert not covers(scopes)
    assert covers(scopes, tenant="u")
    scopes.put(record(revoked=True))
    assert not covers(scopes, tenant="u")
    scopes.drop("never there")
    scopes.drop("a")


def test_an_entry_in_shadow_covers_but_does_not_act() -> None:
    scopes = Scopes()
    scopes.put(record(shadow=True))
    assert covers(scopes)
    assert not covers(scopes, acting=True)
    scopes.put(record(shadow=False))
    assert covers(scopes, acting=True)


def test_it_agrees_with_looking_at_every_entry() -> None:
    chance = random.Random(3)
    scopes = Scopes()
    known: dict[str, RegisteredEntry] = {}
    tenants, models = ["t", "u", "v", "*"], ["m", "n", "*"]
    for _ in range(1500):
        entry_id = f"e{chance.randrange(12)}"
        fields: dict[str, Any] = {
            "scope": {
                "tenants": tuple(chance.choices(tenants, k=chance.randint(1, 3))),
                "models": tuple(chance.choices(models, k=chance.randint(1, 2))),
            },
            "shadow": chance.random() < 0.3,
        }
        if chance.random() < 0.5:
            fields["effective_at"] = NOW + HOUR * chance.randint(-3, 3)
        known[entry_id] = record(entry_id, revoked=chance.random() < 0.3, **fields)
        scopes.put(known[entry_id])
        at = NOW + HOUR * chance.randint(-4, 4)
        for tenant in ("t", "u", "v", "w"):
            for model in ("m", "n", None):
                for acting in (False, True):
                    expected = any(
                        one.is_enforced(at)
                        and one.entry.scope.admits(tenant=tenant, model=model)
                        and not (acting and one.entry.shadow)
                        for one in known.values()
                    )
                    assert covers(scopes, tenant, model, at, acting=acting) is expected
