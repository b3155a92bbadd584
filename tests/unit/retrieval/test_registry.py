"""What the registry promises about entries: created once, revised with history, revoked for good, changes in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from retrieval.entry import EntryState, ForgetEntry, parse_entry
from retrieval.errors import EntryConflict, EntryNotFound, EntryRevoked, InvalidEntry
from retrieval.registry import MemoryRows, Registry


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry.open(tmp_path / "data")
    yield opened
    opened.close()


def entry(**fields: Any) -> ForgetEntry:
    return parse_entry({"name": "Ada Example", **fields})


def rows(part: str = "core", fingerprint: str = "embedder-1", n: int = 1) -> MemoryRows:
    return MemoryRows(part=part, fingerprint=fingerprint, kinds=("name",) * n, vectors=b"\x00\x3c" * 2 * n, dim=2)


def test_a_created_entry_is_read_back_as_it_was(registry: Registry) -> None:
    full = entry(
        id="ada",
        kind="person",
        aliases=["A. Example"],
        facts=["born in Springfield"],
        documents=["A long page."],
        scope={"tenants": ["acme"]},
        treatment={"method": "refusal", "words": "No."},
        expires_at="2999-01-01T00:00:00+02:00",
    )
    created = registry.create(full, actor="op")
    assert created.is_new
    assert registry.get("ada") == created.record
    assert registry.get("ada").entry == full
    assert created.record.revision == registry.seq() == registry.signal.read() == 1


def test_an_entry_without_an_id_gets_one_that_is_also_in_its_body(registry: Registry) -> None:
    record = registry.create(entry(), actor="op").record
    assert record.id.startswith("fe_")
    assert record.entry.id == record.id
    assert registry.create(entry(), actor="op").record.id != record.id


def test_a_time_that_utc_cannot_express_is_refused(registry: Registry) -> None:
    with pytest.raises(InvalidEntry, match="years 1-9999"):
        registry.create(entry(expires_at="9999-12-31T23:59:59-14:00"), actor="op")
    assert registry.seq() == 0


def test_creating_the_same_entry_again_changes_nothing(registry: Registry) -> None:
    first = registry.create(entry(id="ada", expires_at="2999-01-01T00:00:00Z"), actor="op")
    again = registry.create(entry(id="ada", expires_at="2999-01-01T01:00:00+01:00"), actor="op")
    assert not again.is_new
    assert again.record == first.record
    assert registry.seq() == 1
    assert registry.audit.verify().records == 1


def test_the_same_id_with_another_body_is_a_conflict_that_says_to_patch(registry: Registry) -> None:
    registry.create(entry(id="ada"), actor="op")
    with pytest.raises(EntryConflict, match="PATCH") as caught:
        registry.create(entry(id="ada", aliases=["Secret Alias"]), actor="op")
    assert "Secret" not in str(caught.value)
    assert registry.get("ada").entry.aliases == ()


def test_a_revoked_id_cannot_be_created_again_even_with_the_same_body(registry: Registry) -> None:
    registry.create(entry(id="ada"), actor="op")
    registry.revoke("ada", actor="op")
    with pytest.raises(EntryConflict, match="choose another id"):
        registry.create(entry(id="ada"), actor="op")


def test_many_entries_are_created_all_or_none(registry: Registry) -> None:
    registry.create(entry(id="taken"), actor="op")
    batch = [(entry(id=f"e{n}"), (rows(),)) for n in range(3)]
    with pytest.raises(EntryConflict):
        registry.create_many([*batch, (entry(id="taken", reason="other"), ())], actor="op")
    assert registry.entry_count() == 1
    assert registry.seq() == 1
    assert registry.audit.verify().records == 1
    created = registry.create_many([*batch, batch[0]], actor="op")
    assert [item.is_new for item in created] == [True, True, True, False]
    assert [item.record.revision for item in created] == [2, 3, 4, 2]
    assert registry.audit.verify().records == 4


def test_a_batch_that_names_one_id_with_two_bodies_is_a_conflict(registry: Registry) -> None:
    with pytest.raises(EntryConflict):
        registry.create_many([(entry(id="x"), ()), (entry(id="x", reason="r"), ())], actor="op")
    assert registry.entry_count() == 0


def test_a_revision_merges_fields_and_keeps_the_old_body(registry: Registry) -> None:
    registry.create(entry(id="ada", substitute="Bob", scope={"tenants": ["a"], "models": ["m"]}), actor="op")
    revised = registry.revise(
        "ada", {"aliases": ["Countess"], "substitute": None, "scope": {"tenants": ["b"]}}, actor="op"
    )
    assert revised.entry.aliases == ("Countess",)
    assert revised.entry.substitute is None
    assert (revised.entry.scope.tenants, revised.entry.scope.models) == (("b",), ("m",))
    assert revised.revision == 2
    assert registry.get("ada") == revised
    registry.revise("ada", {"reason": "ticket"}, actor="op")
    past = registry.history("ada")
    assert [record.revision for record in past] == [1, 2, 3]
    assert [record.entry.substitute for record in past] == ["Bob", None, None]
    assert [record.entry.reason for record in past] == ["", "", "ticket"]


def test_a_preview_writes_nothing_and_foretells_the_revision(registry: Registry) -> None:
    registry.create(entry(id="ada"), actor="op")
    foretold = registry.preview_revision("ada", {"kind": "work"})
    assert registry.seq() == 1
    assert registry.revise("ada", {"kind": "work"}, actor="op").entry == foretold


def test_a_revision_that_changes_nothing_gets_no_number(registry: Registry) -> None:
    before = registry.create(entry(id="ada"), actor="op").record
    assert registry.revise("ada", {"name": "Ada Example", "id": "ada"}, actor="op") == before
    assert registry.seq() == 1


def test_a_revision_of_an_outdated_read_is_a_conflict(registry: Registry) -> None:
    registry.create(entry(id="ada"), actor="op")
    registry.revise("ada", {"reason": "a"}, actor="op", if_revision=1)
    with pytest.raises(EntryConflict, match="revision 2, not 1"):
        registry.revise("ada", {"reason": "b"}, actor="op", if_revision=1)


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"id": "other"}, "id"),
        ({"id": None}, "id"),
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"colour": None}, "colour"),
        ({"facts": [{"answer": ""}]}, "facts.0.answer"),
        ({"kind": "planet"}, "kind"),
    ],
)
def test_a_wrong_revision_names_the_field_and_writes_nothing(
    registry: Registry, changes: dict[str, Any], param: str
) -> None:
    before = registry.create(entry(id="ada"), actor="op").record
    with pytest.raises(InvalidEntry) as caught:
        registry.revise("ada", changes, actor="op")
    assert caught.value.param == param
    assert registry.get("ada") == before


def test_a_revision_nested_without_end_is_refused(registry: Registry) -> None:
    registry.create(entry(id="ada"), actor="op")
    deep: dict[str, Any] = {}
    for _ in range(500):
        deep = {"a": deep}
    with pytest.raises(InvalidEntry, match="nested"):
        registry.preview_revision("ada", {"treatment": deep})


def test_a_revoked_entry_is_kept_but_no_longer_changed(registry: Registry) -> None:
    registry.create(entry(id="ada"), actor="op", memory=[rows()])
    revoked = registry.revoke("ada", actor="op")
    assert revoked.state() is EntryState.REVOKED
    assert revoked.revision == 2
    assert registry.revoke("ada", actor="op") == revoked
    assert registry.seq() == 2
    assert registry.entry_count() == 0
    assert registry.memory_of(["ada"], "embedder-1") == {"ada": []}
    assert [record.revoked_at is None for record in registry.history("ada")] == [True, False]
    for attempt in (registry.preview_revision, lambda i, c: registry.revise(i, c, actor="op")):
        with pytest.raises(EntryRevoked):
            attempt("ada", {"reason": "late"})


def test_an_unknown_id_is_not_found_whatever_is_asked(registry: Registry) -> None:
    for ask in (
        registry.get,
        registry.history,
        registry.memory_ready,
        lambda i: registry.revoke(i, actor="op"),
        lambda i: registry.revise(i, {}, actor="op"),
    ):
        with pytest.raises(EntryNotFound, match="'nobody'"):
            ask("nobody")
    with pytest.raises(EntryNotFound, match="No such entry"):
        registry.get("someone's name")


def test_pages_list_every_entry_once_in_creation_order(registry: Registry) -> None:
    for n in range(7):
        registry.create(entry(id=f"e{n}", kind="person" if n % 2 else "work"), actor="op")
    registry.revise("e0", {"reason": "moved"}, actor="op")
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = registry.list(limit=3, cursor=cursor)
        seen += [record.id for record in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [f"e{n}" for n in range(7)]
    assert [record.id for record in registry.list(kind="person").items] == ["e1", "e3", "e5"]


def test_listing_by_state_agrees_with_each_entry_s_own_state(registry: Registry) -> None:
    now = datetime.now(UTC)
    past, future = (now - timedelta(days=1)).isoformat(), (now + timedelta(days=1)).isoformat()
    times = [{}, {"effective_at": past}, {"effective_at": future}, {"expires_at": past}, {"expires_at": future}]
    for at in times:
        for shadow in (False, True):
            for revoked in (False, True):
                record = registry.create(entry(shadow=shadow, **at), actor="op").record
                if revoked:
                    registry.revoke(record.id, actor="op")
    everything = registry.list(limit=1000).items
    assert len(everything) == 20
    assert {record.state(now) for record in everything} >= {
        EntryState.SUPPRESSED, EntryState.SCHEDULED, EntryState.EXPIRED, EntryState.SHADOW, EntryState.REVOKED,
    }  # fmt: skip
    for state in EntryState:
        assert registry.list(state=state, limit=1000).items == tuple(r for r in everything if r.state(now) is state)


@pytest.mark.parametrize("cursor", ["", "x", "!!", "ZW50cmllczotMQ", "YXVkaXQ6MQ", "é", "ZW50cmllczo" + "OTk5" * 20])
def test_a_cursor_from_elsewhere_is_refused(registry: Registry, cursor: str) -> None:
    with pytest.raises(InvalidEntry) as caught:
        registry.list(cursor=cursor)
    assert caught.value.param == "cursor"


@pytest.mark.parametrize(
    ("query", "param"), [({"limit": 0}, "limit"), ({"limit": 1001}, "limit"), ({"kind": "persn"}, "kind")]
)
def test_a_wrong_query_names_its_parameter(registry: Registry, query: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidEntry) as caught:
        registry.list(**query)
    assert caught.value.param == param


def test_changes_come_in_order_with_the_newest_record_of_each_entry(registry: Registry) -> None:
    for name in ("a", "b", "c"):
        registry.create(entry(id=name), actor="op")
    registry.revise("a", {"reason": "new"}, actor="op")
    registry.revoke("b", actor="op")
    changes = registry.changes_since(0)
    assert [(change.seq, change.record.id) for change in changes] == [(3, "c"), (4, "a"), (5, "b")]
    assert changes[1].record.entry.reason == "new"
    assert changes[2].record.revoked_at is not None
    assert [change.seq for change in registry.changes_since(0, limit=2)] == [3, 4]
    assert registry.changes_since(5) == []


def test_memory_follows_the_texts_it_was_made_of(registry: Registry) -> None:
    registry.create(entry(id="ada", documents=["page"]), actor="op", memory=[rows(n=3)])
    assert not registry.memory_ready("ada")
    registry.put_memory("ada", 1, rows("documents"))
    assert registry.memory_ready("ada")
    assert registry.memory_ready("ada", "embedder-1")
    assert not registry.memory_ready("ada", "embedder-2")
    assert registry.memory_of(["ada", "none"], "embedder-1") == {"ada": [rows(n=3), rows("documents")], "none": []}
    registry.revise("ada", {"reason": "ticket"}, actor="op")
    assert len(registry.memory_of(["ada"], "embedder-1")["ada"]) == 2
    registry.revise("ada", {"aliases": ["Countess"]}, actor="op", memory=[rows(n=4)])
    assert registry.memory_of(["ada"], "embedder-1")["ada"] == [rows(n=4), rows("documents")]
    registry.revise("ada", {"documents": ["another page"]}, actor="op")
    assert registry.memory_of(["ada"], "embedder-1")["ada"] == [rows(n=4)]
    assert not registry.memory_ready("ada")


def test_late_memory_is_a_change_for_workers_but_no_revision(registry: Registry) -> None:
    registry.create(entry(id="ada", documents=["page"]), actor="op")
    registry.put_memory("ada", 1, rows("documents"))
    (change,) = registry.changes_since(1)
    assert (change.seq, change.record.revision) == (2, 1)
    assert registry.signal.read() == 2


def test_memory_of_texts_that_have_changed_is_ignored(registry: Registry) -> None:
    registry.create(entry(id="ada", documents=["page"]), actor="op")
    second = registry.revise("ada", {"reason": "other words, same page"}, actor="op")
    registry.put_memory("ada", 1, rows("documents", n=2))
    assert registry.memory_of(["ada"], "embedder-1")["ada"] == [rows("documents", n=2)]
    third = registry.revise("ada", {"documents": ["new page"]}, actor="op")
    before = registry.seq()
    registry.put_memory("ada", second.revision, rows("documents"))
    registry.put_memory("ada", third.revision + 1, rows("documents"))
    registry.put_memory("nobody", 1, rows("documents"))
    registry.revoke("ada", actor="op")
    registry.put_memory("ada", third.revision, rows("documents"))
    assert registry.memory_of(["ada"], "embedder-1")["ada"] == []
    assert registry.seq() == before + 1


def test_memory_that_does_not_fit_its_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="3 bytes"):
        MemoryRows(part="core", fingerprint="f", kinds=("name",), vectors=b"abc", dim=2)
    with pytest.raises(ValueError, match="part"):
        MemoryRows(part="other", fingerprint="f", kinds=(), vectors=b"", dim=2)


def test_every_change_has_an_audit_record_without_entry_text(registry: Registry) -> None:
    registry.create(entry(id="ada", name="Verysecret", kind="person"), actor="op-1")
    registry.revise("ada", {"aliases": ["Alsosecret"]}, actor="op-2")
    registry.revoke("ada", actor="op-3")
    records = registry.audit.page(subject="ada").items
    assert [(record.kind, record.actor) for record in records] == [
        ("entry.created", "op-1"), ("entry.revised", "op-2"), ("entry.revoked", "op-3"),
    ]  # fmt: skip
    assert [record.data["revision"] for record in records] == [1, 2, 3]
    assert records[1].data["fields"] == ["aliases"]
    assert "secret" not in repr(records)


def test_threads_that_write_at_once_lose_nothing(registry: Registry) -> None:
    failures: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            for n in range(20):
                registry.create(entry(id=f"w{worker}.{n}"), actor=f"w{worker}")
                registry.revise(f"w{worker}.{n}", {"reason": "again"}, actor=f"w{worker}")
                registry.list(limit=5)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert registry.entry_count() == 160
    assert registry.seq() == registry.signal.read() == 320
    changes = registry.changes_since(0)
    assert len({change.seq for change in changes}) == 160
    assert [change.seq for change in changes] == sorted(change.seq for change in changes)
    report = registry.audit.verify()
    assert report.ok
    assert report.records == 320
