"""Backups: a copy of a registry in use that restores to the same, or says clearly why not and leaves nothing behind."""

from __future__ import annotations

import hashlib
import io
import sqlite3
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from retrieval.backup import MANIFEST_FILE, BackupRefused, Manifest, backup, restore
from retrieval.entry import parse_entry
from retrieval.errors import RetrievalError, StoreCorrupt, StoreUnavailable
from retrieval.registry import MemoryRows, Registry
from retrieval.stores.data_folder import DATABASE_FILE

Members = dict[str, bytes]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry.open(tmp_path / "data")
    core = MemoryRows(part="core", fingerprint="f", kinds=("name",), vectors=b"1234", dim=2)
    for n in range(20):
        opened.create(parse_entry({"id": f"e{n}", "name": "x", "documents": ["page"]}), actor="op", memory=[core])
    opened.revise("e1", {"reason": "ticket"}, actor="op")
    opened.revoke("e2", actor="op")
    yield opened
    opened.close()


def members(archive: Path) -> Members:
    found = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            stream = tar.extractfile(member)
            assert stream is not None
            found[member.name] = stream.read()
    return found


def pack(archive: Path, content: Members) -> Path:
    with tarfile.open(archive, "w:gz") as tar:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return archive


def test_a_restored_registry_is_the_one_that_was_backed_up(registry: Registry, tmp_path: Path) -> None:
    secret = registry.keys.create(tenant="acme", is_admin=True).secret
    report = backup(tmp_path / "data", tmp_path / "b.tar.gz")
    assert report.manifest.seq == registry.seq() == 23
    assert (report.manifest.entries, report.manifest.keys, report.manifest.audit_records) == (20, 1, 23)
    assert report.archive_bytes == (tmp_path / "b.tar.gz").stat().st_size
    assert (tmp_path / "b.tar.gz").stat().st_mode & 0o077 == 0
    assert restore(tmp_path / "b.tar.gz", tmp_path / "new").manifest == report.manifest
    with closing(Registry.open(tmp_path / "new")) as restored:
        assert restored.list(limit=100) == registry.list(limit=100)
        assert restored.history("e1") == registry.history("e1")
        assert restored.memory_of(["e0"], "f") == registry.memory_of(["e0"], "f")
        assert restored.keys.verify(secret) is not None
        assert restored.audit.verify() == registry.audit.verify()
        assert restored.signal.read() == restored.seq() == 23
        assert restored.create(parse_entry({"name": "y"}), actor="op").record.revision == 24
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar.gz", "data", "new"]


def test_a_backup_taken_while_entries_are_created_is_consistent(registry: Registry, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            registry.create(parse_entry({"name": "x"}), actor="op")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for n in range(3):
            backup(tmp_path / "data", tmp_path / f"{n}.tar.gz")
    finally:
        stop.set()
        thread.join()
    for n in range(3):
        manifest = restore(tmp_path / f"{n}.tar.gz", tmp_path / f"new{n}").manifest
        with closing(Registry.open(tmp_path / f"new{n}")) as restored:
            assert restored.seq() == manifest.seq == manifest.audit_records
            assert restored.entry_count() == manifest.entries - 1
            assert restored.audit.verify().head_hash == manifest.audit_head


def test_a_backup_overwrites_nothing_and_needs_a_registry(registry: Registry, tmp_path: Path) -> None:
    target = tmp_path / "b.tar.gz"
    target.write_text("precious")
    with pytest.raises(BackupRefused, match="exists"):
        backup(tmp_path / "data", target)
    assert target.read_text() == "precious"
    with pytest.raises(BackupRefused, match="no registry"):
        backup(tmp_path / "elsewhere", tmp_path / "c.tar.gz")
    assert not (tmp_path / "c.tar.gz").exists()


def test_a_restore_needs_an_archive_and_an_empty_folder(registry: Registry, tmp_path: Path) -> None:
    archive = backup(tmp_path / "data", tmp_path / "b.tar.gz").archive
    seq = registry.seq()
    with pytest.raises(BackupRefused, match="not empty"):
        restore(archive, tmp_path / "data")
    assert registry.seq() == seq
    with pytest.raises(BackupRefused, match="no file"):
        restore(tmp_path / "none.tar.gz", tmp_path / "new")
    (tmp_path / "empty").mkdir()
    restore(archive, tmp_path / "empty")
    with closing(Registry.open(tmp_path / "empty")) as restored:
        assert restored.seq() == seq


def test_a_tampered_registry_is_not_backed_up_as_if_it_were_sound(registry: Registry, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "data" / DATABASE_FILE)) as connection, connection:
        connection.execute("UPDATE audit_records SET actor = 'nobody' WHERE id = 3")
    with pytest.raises(StoreCorrupt, match="record 3"):
        backup(tmp_path / "data", tmp_path / "b.tar.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def _flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda m: {**m, DATABASE_FILE: _flip(m[DATABASE_FILE])}, StoreCorrupt, "checksum"),
        (lambda m: {**m, DATABASE_FILE: m[DATABASE_FILE][:-1]}, StoreCorrupt, "size"),
        (lambda m: {MANIFEST_FILE: m[MANIFEST_FILE]}, StoreCorrupt, "no database"),
        (lambda m: {DATABASE_FILE: m[DATABASE_FILE]}, StoreCorrupt, "manifest"),
        (lambda m: {**m, MANIFEST_FILE: b"{}"}, StoreCorrupt, "manifest"),
        (lambda m: {**m, MANIFEST_FILE: b" " * 100_000}, StoreCorrupt, "manifest"),
        (lambda m: {**m, MANIFEST_FILE: m[MANIFEST_FILE].replace(b'"seq": 22', b'"seq": 21')}, StoreCorrupt, "fit"),
        (lambda m: {**m, MANIFEST_FILE: m[MANIFEST_FILE].replace(b'"format": 1', b'"format": 2')}, StoreUnavailable,
         "format 2"),
        (lambda m: {MANIFEST_FILE: m[MANIFEST_FILE], "../escaped": m[DATABASE_FILE]}, StoreCorrupt, "no database"),
    ],
)  # fmt: skip
def test_a_damaged_archive_restores_nothing_at_all(
    registry: Registry,
    tmp_path: Path,
    damage: Callable[[Members], Members],
    error: type[RetrievalError],
    message: str,
) -> None:
    good = members(backup(tmp_path / "data", tmp_path / "b.tar.gz").archive)
    bad = damage(good)
    assert bad != good
    with pytest.raises(error, match=message):
        restore(pack(tmp_path / "bad.tar.gz", bad), tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar.gz", "bad.tar.gz", "data"]


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.95])
def test_an_archive_that_is_cut_off_restores_nothing_at_all(registry: Registry, tmp_path: Path, kept: float) -> None:
    whole = backup(tmp_path / "data", tmp_path / "b.tar.gz").archive.read_bytes()
    (tmp_path / "bad.tar.gz").write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(StoreCorrupt):
        restore(tmp_path / "bad.tar.gz", tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar.gz", "bad.tar.gz", "data"]


def test_an_archive_of_a_newer_version_is_refused(registry: Registry, tmp_path: Path) -> None:
    good = members(backup(tmp_path / "data", tmp_path / "b.tar.gz").archive)
    newer = tmp_path / "newer.db"
    newer.write_bytes(good[DATABASE_FILE])
    with closing(sqlite3.connect(newer)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    manifest = Manifest.model_validate_json(good[MANIFEST_FILE]).model_copy(
        update={
            "database_sha256": hashlib.sha256(newer.read_bytes()).hexdigest(),
            "database_bytes": newer.stat().st_size,
            "schema_version": "9999",
        }
    )
    pack(tmp_path / "n.tar.gz", {MANIFEST_FILE: manifest.model_dump_json().encode(), DATABASE_FILE: newer.read_bytes()})
    with pytest.raises(StoreUnavailable, match="newer Expunge"):
        restore(tmp_path / "n.tar.gz", tmp_path / "new")
    assert not (tmp_path / "new").exists()
