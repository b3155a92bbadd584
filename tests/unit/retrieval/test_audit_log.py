"""The audit log: one chain that shows every tampering, and a writer that keeps requests off the disk."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from retrieval.audit_log import AuditLog, AuditRecord, AuditWriter
from retrieval.errors import InvalidEntry, StoreUnavailable
from retrieval.registry import Registry
from retrieval.stores.audit_chain import GENESIS, PreparedRecord
from retrieval.stores.data_folder import DATABASE_FILE


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry.open(tmp_path)
    yield opened
    opened.close()


def record(n: int, kind: str = "decision", subject: str = "e") -> AuditRecord:
    return AuditRecord(kind=kind, actor="key-1", subject=subject, data={"n": n, "score": 0.1 + n, "z": [None, "é"]})


class ClosedDoor(AuditLog):
    """A log whose database cannot be written until `opened` is set; `knocked` tells that someone tried."""

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry._database)
        self.opened = threading.Event()
        self.knocked = threading.Event()

    def append(self, records: Sequence[AuditRecord | PreparedRecord]) -> None:
        self.knocked.set()
        if not self.opened.is_set():
            raise StoreUnavailable("locked")
        super().append(records)


def test_the_chain_can_be_recomputed_by_anyone_from_its_pages(registry: Registry) -> None:
    registry.audit.append([record(n) for n in range(5)])
    last_hash = GENESIS
    for n, item in enumerate(registry.audit.page().items, start=1):
        body = {name: getattr(item, name) for name in ("actor", "at", "data", "id", "kind", "subject")}
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert item.id == n
        assert item.prev_hash == last_hash
        assert item.hash == hashlib.sha256((last_hash + canonical).encode()).hexdigest()
        last_hash = item.hash
    assert registry.audit.verify().head_hash == last_hash


def test_an_empty_chain_is_sound(registry: Registry) -> None:
    report = registry.audit.verify()
    assert (report.ok, report.records, report.first_bad_id, report.head_hash) == (True, 0, None, GENESIS)


@pytest.mark.parametrize(
    ("tampering", "first_bad_id"),
    [
        ("UPDATE audit_records SET data = replace(data, '\"n\":3', '\"n\":4') WHERE id = 4", 4),
        ("UPDATE audit_records SET actor = 'someone else' WHERE id = 1", 1),
        ("UPDATE audit_records SET at = '2001-01-01T00:00:00.000000Z' WHERE id = 2500", 2500),
        ("UPDATE audit_records SET data = x'00ff' WHERE id = 7", 7),
        ("UPDATE audit_records SET prev_hash = hash WHERE id = 9", 9),
        ("DELETE FROM audit_records WHERE id = 1", 1),
        ("DELETE FROM audit_records WHERE id = 2200", 2200),
        ("DELETE FROM audit_records WHERE id > 2990", 2991),
        ("DELETE FROM audit_records", 1),
        ("DELETE FROM audit_head", 3001),
        ("UPDATE audit_records SET id = 5000 WHERE id = 3000", 3000),
        ("INSERT INTO audit_records SELECT 0, at, kind, actor, subject, data, prev_hash, hash FROM audit_records"
         " WHERE id = 1", 1),
        ("INSERT INTO audit_records SELECT 3001, at, kind, actor, subject, data, hash, hash FROM audit_records"
         " WHERE id = 3000", 3001),
    ],
)  # fmt: skip
def test_any_tampering_is_found_where_it_begins(
    registry: Registry, tmp_path: Path, tampering: str, first_bad_id: int
) -> None:
    registry.audit.append([record(n) for n in range(3000)])
    assert registry.audit.verify().ok
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE)) as connection, connection:
        connection.execute(tampering)
    report = registry.audit.verify()
    assert not report.ok
    assert report.first_bad_id == first_bad_id


def test_pages_follow_on_each_other_and_can_be_filtered(registry: Registry) -> None:
    registry.audit.append([record(n, kind="leak" if n % 2 else "decision", subject=f"e{n % 3}") for n in range(10)])
    first = registry.audit.page(limit=4)
    second = registry.audit.page(limit=4, cursor=first.next_cursor)
    third = registry.audit.page(limit=4, cursor=second.next_cursor)
    assert [item.data["n"] for page in (first, second, third) for item in page.items] == list(range(10))
    assert third.next_cursor is None
    assert [item.data["n"] for item in registry.audit.page(kind="leak", subject="e0").items] == [3, 9]
    with pytest.raises(InvalidEntry) as caught:
        registry.audit.page(cursor="nonsense")
    assert caught.value.param == "cursor"


def test_a_record_that_is_not_json_is_refused_and_breaks_nothing(registry: Registry) -> None:
    bad = AuditRecord(kind="x", actor="a", subject="s", data={"value": object()})
    with pytest.raises(TypeError):
        registry.audit.append([record(1), bad])
    assert registry.audit.verify().records == 0
    writer = AuditWriter(registry.audit)
    with pytest.raises(TypeError):
        writer.add(bad)
    assert writer.close() == 0


def test_the_writer_writes_what_is_added_in_order(registry: Registry) -> None:
    writer = AuditWriter(registry.audit)
    for n in range(1200):
        writer.add(record(n))
    assert writer.flush()
    assert writer.stats().written == 1200
    writer.add(record(1200))
    assert writer.close() == 0
    numbers = [item.data["n"] for item in registry.audit.page(limit=1000).items]
    assert numbers == list(range(1000))
    report = registry.audit.verify()
    assert (report.ok, report.records) == (True, 1201)


def test_the_writer_writes_soon_without_being_asked(registry: Registry) -> None:
    writer = AuditWriter(registry.audit)
    writer.add(record(1))
    waited = threading.Event()
    while registry.audit.verify().records == 0:
        waited.wait(0.01)
    assert writer.close() == 0


def test_later_changes_of_the_data_do_not_reach_the_chain(registry: Registry) -> None:
    data = {"n": 1}
    writer = AuditWriter(registry.audit)
    writer.add(AuditRecord(kind="decision", actor="a", subject="s", data=data))
    data["n"] = 2
    writer.close()
    assert registry.audit.page().items[0].data == {"n": 1}


def test_a_full_queue_tells_in_the_chain_how_many_records_were_given_up(registry: Registry) -> None:
    door = ClosedDoor(registry)
    writer = AuditWriter(door, capacity=10)
    writer.add(record(0))
    assert door.knocked.wait(10)
    for n in range(1, 31):
        writer.add(record(n))
    assert writer.dropped == 20
    assert writer.stats().last_error == "locked"
    door.opened.set()
    assert writer.flush()
    assert writer.close() == 0
    items = registry.audit.page().items
    gaps = [item for item in items if item.kind == "audit.gap"]
    assert [gap.data for gap in gaps] == [{"dropped": 20}]
    assert [item.data["n"] for item in items if item.kind == "decision"] == [0, *range(21, 31)]
    assert registry.audit.verify().ok
    assert writer.stats().last_error is None


def test_closing_gives_up_in_time_and_says_how_much_is_lost(registry: Registry) -> None:
    writer = AuditWriter(ClosedDoor(registry))
    for n in range(3):
        writer.add(record(n))
    assert writer.close(timeout_s=0.05) == 3
    with pytest.raises(RuntimeError, match="closed"):
        writer.add(record(4))


def test_writers_and_registry_changes_share_one_chain(registry: Registry) -> None:
    writers = [AuditWriter(AuditLog(registry._database)) for _ in range(3)]
    for n in range(300):
        for writer in writers:
            writer.add(record(n))
        if n % 100 == 0:
            registry.keys.create(tenant="t", is_admin=False)
    assert [writer.close() for writer in writers] == [0, 0, 0]
    report = registry.audit.verify()
    assert (report.ok, report.records) == (True, 903)
