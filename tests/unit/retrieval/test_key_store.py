"""Keys: the secret is shown once, only its hash is kept, and nothing but the very secret opens it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from retrieval.errors import EntryNotFound, InvalidEntry
from retrieval.registry import Registry
from retrieval.stores.data_folder import DATABASE_FILE
from retrieval.stores.keys import KeyNotFound


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry.open(tmp_path)
    yield opened
    opened.close()


def test_a_secret_opens_its_key_and_carries_its_id(registry: Registry) -> None:
    new = registry.keys.create(tenant="acme", is_admin=False, models=["m1", "m2"], rate_limit_per_min=60, label="ci")
    prefix, key_id, random = new.secret.split("-", 2)
    assert (prefix, key_id, len(random)) == ("xk", new.record.key_id, 43)
    assert registry.keys.verify(new.secret) == new.record
    assert registry.keys.find(key_id) == new.record
    assert new.record.models == ("m1", "m2")
    assert (new.record.tenant, new.record.is_admin, new.record.rate_limit_per_min) == ("acme", False, 60)


def test_the_secret_is_neither_stored_nor_printed(registry: Registry, tmp_path: Path) -> None:
    new = registry.keys.create(tenant="acme", is_admin=True)
    random = new.secret.split("-", 2)[2]
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE)) as connection:
        dump = "\n".join(connection.iterdump())
    assert new.record.key_id in dump
    assert random not in dump
    assert random not in repr(new)
    assert new.record.secret_hash not in repr(new)


def test_whatever_is_not_the_secret_opens_nothing(registry: Registry) -> None:
    one = registry.keys.create(tenant="a", is_admin=False)
    other = registry.keys.create(tenant="b", is_admin=True)
    mixed = f"xk-{other.record.key_id}-{one.secret.split('-', 2)[2]}"
    last = "A" if one.secret[-1] != "A" else "B"
    for wrong in (
        "",
        "xk",
        "xk--",
        "sk-x-y",
        mixed,
        one.secret[:-1] + last,
        one.secret + "A",
        "xk-é-\ud800",
        "xk-x-\0",
    ):
        assert registry.keys.verify(wrong) is None


def test_a_revoked_key_opens_nothing_but_stays_listed(registry: Registry) -> None:
    new = registry.keys.create(tenant="a", is_admin=False)
    revoked = registry.keys.revoke(new.record.key_id)
    assert revoked.revoked_at is not None
    assert registry.keys.verify(new.secret) is None
    assert registry.keys.list() == (revoked,)
    before = registry.seq()
    assert registry.keys.revoke(new.record.key_id) == revoked
    assert registry.seq() == before


def test_an_unknown_key_cannot_be_revoked(registry: Registry) -> None:
    assert issubclass(KeyNotFound, EntryNotFound)
    with pytest.raises(KeyNotFound):
        registry.keys.revoke("nobody")
    assert registry.seq() == 0


def test_key_changes_are_told_to_workers_and_to_the_audit_log(registry: Registry) -> None:
    key_id = registry.keys.create(tenant="a", is_admin=False, actor="cli").record.key_id
    assert registry.signal.read() == registry.seq() == 1
    registry.keys.revoke(key_id, actor="admin")
    assert registry.signal.read() == registry.seq() == 2
    assert registry.changes_since(0) == []
    records = registry.audit.page(subject=key_id).items
    assert [(record.kind, record.actor) for record in records] == [("key.created", "cli"), ("key.revoked", "admin")]
    assert registry.audit.verify().ok


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tenant": ""}, "tenant"),
        ({"tenant": "t" * 129}, "tenant"),
        ({"models": []}, "models"),
        ({"models": "gpt"}, "models"),
        ({"models": [""]}, "models"),
        ({"rate_limit_per_min": 0}, "rate_limit_per_min"),
        ({"label": "l" * 129}, "label"),
    ],
)
def test_a_wrong_key_names_its_field(registry: Registry, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidEntry) as caught:
        registry.keys.create(**{"tenant": "a", "is_admin": False, **fields})
    assert caught.value.param == param
    assert registry.keys.list() == ()
