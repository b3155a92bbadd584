"""Back up and restore the registry: one archive with a consistent copy of the database, checked at both ends.

    registry-2026-01-31.tar.gz = manifest.json + registry.db

The copy is made by SQLite's online backup while the registry is in use. Both ends check the file's SHA-256, SQLite's
own integrity check, the audit chain, and that manifest and database say the same. Nothing half-made appears under its
final name: work is done in a temporary folder beside it and renamed.

An archive holds the entries' text: keep it like the data itself. Of keys it holds hashes only. Indexes and model files
are not in it; they are derived. The manifest's `audit_head`, kept elsewhere, later proves that the chain was not
rewritten.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import sqlite3
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import func, select

from retrieval.errors import RetrievalError, StoreCorrupt, StoreUnavailable
from retrieval.registry import Registry
from retrieval.stores import counter, schema
from retrieval.stores.audit_chain import AuditLog
from retrieval.stores.data_folder import DATABASE_FILE
from retrieval.stores.database import Database
from retrieval.stores.tables import entries, keys
from retrieval.stores.timestamps import now_text

FORMAT = 1
MANIFEST_FILE = "manifest.json"
MANIFEST_LIMIT_BYTES = 64 * 1024
_CHUNK_BYTES = 1 << 20


class BackupRefused(RetrievalError):
    """The archive or folder to write to is not free, or there is nothing to back up."""


class Manifest(BaseModel):
    """What an archive says of its database."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    created_at: str
    schema_version: str
    seq: int
    entries: int  # revoked ones too
    keys: int
    audit_records: int
    audit_head: str
    database_bytes: int
    database_sha256: str


class BackupReport(BaseModel):
    """A finished backup."""

    model_config = ConfigDict(frozen=True)

    archive: Path
    archive_bytes: int
    manifest: Manifest


class RestoreReport(BaseModel):
    """A finished restore."""

    model_config = ConfigDict(frozen=True)

    data_dir: Path
    manifest: Manifest


def backup(data_dir: Path, target: Path) -> BackupReport:
    """Write an archive of the registry in `data_dir`, which may be in use, to `target`, which must not exist.

    Raises `BackupRefused`, `StoreUnavailable`, or `StoreCorrupt` if the registry itself is damaged.
    """
    source = data_dir / DATABASE_FILE
    if not source.is_file():
        raise BackupRefused(f"{data_dir} holds no registry; check data_dir.")
    if target.exists():
        raise BackupRefused(f"{target} exists; name another file.")
    with _plain_errors(), _workplace(target.parent) as folder:
        copy = folder / DATABASE_FILE
        _copy_database(source, copy)
        manifest = _describe(copy)
        (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
        archive = folder / "archive"
        with tarfile.open(archive, "x:gz", compresslevel=6) as tar:
            for name in (MANIFEST_FILE, DATABASE_FILE):
                tar.add(folder / name, arcname=name, filter=_anonymous)
        archive.chmod(0o600)
        _sync(archive)
        os.replace(archive, target)
        _sync(target.parent)
    return BackupReport(archive=target, archive_bytes=target.stat().st_size, manifest=manifest)


def restore(archive: Path, data_dir: Path) -> RestoreReport:
    """Make `data_dir`, which must be empty or absent, the registry of an archive; older schemas are upgraded.

    Raises `BackupRefused`, `StoreUnavailable` (also for an archive of a newer version), or `StoreCorrupt`.
    """
    if not archive.is_file():
        raise BackupRefused(f"{archive} is no file.")
    if data_dir.exists() and (not data_dir.is_dir() or any(data_dir.iterdir())):
        raise BackupRefused(f"{data_dir} is not empty; restore into a new folder, or move the old one away first.")
    with _plain_errors(), _workplace(data_dir.absolute().parent) as folder:
        fresh = folder / "data"
        fresh.mkdir(mode=0o700)
        manifest = _unpack(archive, fresh / DATABASE_FILE)
        found = _describe(fresh / DATABASE_FILE)
        if found.model_copy(update={"created_at": manifest.created_at}) != manifest:
            raise StoreCorrupt("The archive's manifest and database do not fit together; take another backup.")
        Registry.open(fresh).close()
        for path in fresh.iterdir():
            _sync(path)
        _sync(fresh)
        os.replace(fresh, data_dir)
        _sync(data_dir.absolute().parent)
    return RestoreReport(data_dir=data_dir, manifest=manifest)


def _copy_database(source: Path, copy: Path) -> None:
    address = f"{source.absolute().as_uri()}?mode=rw"
    with closing(sqlite3.connect(address, uri=True, timeout=10)) as old, closing(sqlite3.connect(copy)) as new:
        old.backup(new)
        # The copy must be one file: no write-ahead log beside it.
        new.execute("PRAGMA journal_mode = DELETE")


def _describe(path: Path) -> Manifest:
    """Check a database file and say what is in it; leaves its bytes as they are."""
    digest, size = _sha256(path), path.stat().st_size
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        findings = [row[0] for row in connection.execute("PRAGMA integrity_check(1)")]
    if findings != ["ok"]:
        raise StoreCorrupt("The registry's database fails SQLite's integrity check; take another backup.")
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        # Opening it as a registry database switches it to WAL, which would change the bytes just hashed.
        probe = Path(scratch) / DATABASE_FILE
        shutil.copyfile(path, probe)
        database = Database.sqlite(probe)
        try:
            return _read_manifest(database, digest=digest, size=size)
        finally:
            database.close()


def _read_manifest(database: Database, *, digest: str, size: int) -> Manifest:
    version = schema.check(database)
    report = AuditLog(database).verify()
    if not report.ok:
        raise StoreCorrupt(f"The audit chain is broken at record {report.first_bad_id}; take another backup.")
    with database.read() as connection:
        return Manifest(
            format=FORMAT,
            created_at=now_text(),
            schema_version=version,
            seq=counter.read(connection),
            entries=connection.execute(select(func.count()).select_from(entries)).scalar_one(),
            keys=connection.execute(select(func.count()).select_from(keys)).scalar_one(),
            audit_records=report.records,
            audit_head=report.head_hash,
            database_bytes=size,
            database_sha256=digest,
        )


def _unpack(archive: Path, database: Path) -> Manifest:
    """Read exactly the two known members, whatever else the archive names; check size and SHA-256."""
    with tarfile.open(archive, "r:gz") as tar:
        first = tar.next()
        if first is None or first.name != MANIFEST_FILE or not first.isfile() or first.size > MANIFEST_LIMIT_BYTES:
            raise StoreCorrupt("The archive does not begin with a manifest; it is no backup of a registry.")
        manifest = _parse_manifest(_read(tar, first))
        second = tar.next()
        if second is None or second.name != DATABASE_FILE or not second.isfile():
            raise StoreCorrupt("The archive holds no database; take another backup.")
        if second.size != manifest.database_bytes:
            raise StoreCorrupt("The archive's database has another size than its manifest says; take another backup.")
        stream = tar.extractfile(second)
        if stream is None:
            raise StoreCorrupt("The archive's database cannot be read; take another backup.")
        with stream, database.open("xb") as out:
            shutil.copyfileobj(stream, out, _CHUNK_BYTES)
    database.chmod(0o600)
    if _sha256(database) != manifest.database_sha256:
        raise StoreCorrupt("The archive's database differs from its checksum; take another backup.")
    return manifest


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    if stream is None:
        raise StoreCorrupt(f"The archive's {member.name} cannot be read; take another backup.")
    with stream:
        return stream.read()


def _parse_manifest(data: bytes) -> Manifest:
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError:
        raise StoreCorrupt("The archive's manifest cannot be read; take another backup.") from None
    if manifest.format != FORMAT:
        raise StoreUnavailable(f"The archive has format {manifest.format}; this version reads format {FORMAT}.")
    return manifest


@contextmanager
def _workplace(parent: Path) -> Iterator[Path]:
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".expunge-", dir=parent) as folder:
        yield Path(folder)


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile):
        raise StoreCorrupt("The archive is damaged or cut off; take another backup.") from None
    except sqlite3.OperationalError as error:
        raise StoreUnavailable(f"The registry's database does not answer: {error}.") from None
    except sqlite3.DatabaseError as error:
        raise StoreCorrupt(f"The registry's database is damaged: {error}.") from None
    except OSError as error:
        raise StoreUnavailable(f"The files cannot be written or read: {error.strerror}.") from None


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Who ran the backup is nobody's business."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o600
    return member


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Push a file's or folder's content to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
