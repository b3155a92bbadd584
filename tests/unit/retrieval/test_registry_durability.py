"""What the registry promises across processes: nothing acknowledged is lost, one order of changes, known schemas only."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from retrieval.entry import parse_entry
from retrieval.errors import RetrievalError, StoreCorrupt, StoreUnavailable
from retrieval.registry import Registry
from retrieval.stores import schema
from retrieval.stores.data_folder import DATABASE_FILE, SIGNAL_FILE
from retrieval.stores.database import Database
from retrieval.stores.revision_signal import RevisionSignal
from retrieval.stores.tables import metadata

WRITER = """
import sys
from pathlib import Path
from retrieval.entry import parse_entry
from retrieval.registry import Registry
registry = Registry.open(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for n in range(int(sys.argv[3])):
    created = registry.create(parse_entry({"id": f"{sys.argv[2]}.{n}", "name": "x"}), actor=sys.argv[2])
    print(created.record.id, created.record.revision, flush=True)
registry.close()
"""


def start_writer(data_dir: Path, name: str, count: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(data_dir), name, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_a_killed_process_loses_no_acknowledged_entry(tmp_path: Path) -> None:
    process = start_writer(tmp_path, "w", 100_000)
    with process:
        go(process)
        assert process.stdout is not None
        acknowledged = [process.stdout.readline().split() for _ in range(60)]
        process.send_signal(signal.SIGKILL)
        # What was printed before the kill was acknowledged too, but for a line cut in the middle.
        acknowledged += [line.split() for line in process.stdout if line.endswith("\n")]
    assert process.returncode == -signal.SIGKILL
    registry = Registry.open(tmp_path)
    with closing(registry):
        for entry_id, revision in acknowledged:
            assert registry.get(entry_id).revision == int(revision)
        report = registry.audit.verify()
        assert report.ok
        assert report.records == registry.entry_count() == registry.seq() == registry.signal.read()
        assert registry.entry_count() in {len(acknowledged), len(acknowledged) + 1}


def test_two_processes_share_one_order_one_chain_and_one_signal(tmp_path: Path) -> None:
    with closing(Registry.open(tmp_path)) as registry:
        writers = [start_writer(tmp_path, name, 40) for name in ("a", "b")]
        for writer in writers:
            go(writer)
        lines = [writer.communicate(timeout=60)[0].split() for writer in writers]
        assert [writer.returncode for writer in writers] == [0, 0]
        revisions = [[int(word) for word in words[1::2]] for words in lines]
        assert all(own == sorted(own) for own in revisions)
        assert sorted(revisions[0] + revisions[1]) == list(range(1, 81))
        assert registry.signal.read() == 80
        assert [change.seq for change in registry.changes_since(0)] == list(range(1, 81))
        report = registry.audit.verify()
        assert report.ok
        assert report.records == 80


def test_opening_a_new_folder_from_many_threads_makes_one_registry(tmp_path: Path) -> None:
    failures: list[RetrievalError] = []

    def work(n: int) -> None:
        try:
            with closing(Registry.open(tmp_path / "deep" / "data")) as registry:
                registry.create(parse_entry({"id": f"e{n}", "name": "x"}), actor="op")
        except RetrievalError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with closing(Registry.open(tmp_path / "deep" / "data")) as registry:
        assert registry.entry_count() == 6
        assert registry.audit.verify().ok


def test_data_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    with closing(Registry.open(tmp_path / "data")) as registry:
        registry.create(parse_entry({"name": "x"}), actor="op")
        assert (tmp_path / "data").stat().st_mode & 0o077 == 0
        assert [path.name for path in (tmp_path / "data").iterdir() if path.stat().st_mode & 0o077] == []


def test_commits_are_synced_to_the_disk(tmp_path: Path) -> None:
    with closing(Registry.open(tmp_path)) as registry, registry._database.write() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2


def test_a_migrated_database_has_exactly_the_tables_of_the_code(tmp_path: Path) -> None:
    database = Database.sqlite(tmp_path / "x.db")
    with closing(database):
        schema.migrate(database)
        with database.read() as connection:
            assert schema.current_version(connection) == schema.HEAD
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, metadata) == []
        schema.migrate(database)


def test_the_newest_migration_script_is_the_one_that_the_code_asks_for() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_current_head() == schema.HEAD
    assert {script.revision for script in scripts.walk_revisions()} == schema.KNOWN


def test_a_database_of_a_newer_version_is_refused_untouched(tmp_path: Path) -> None:
    Registry.open(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnavailable, match=r"newer Expunge.*9999"):
        Registry.open(tmp_path)
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)


def test_a_file_that_is_no_database_is_told_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / DATABASE_FILE).write_bytes(b"certainly not a database " * 100)
    with pytest.raises(StoreCorrupt, match="not a database"):
        Registry.open(tmp_path)
    assert (tmp_path / DATABASE_FILE).read_bytes().startswith(b"certainly")


def test_somebody_else_s_database_is_not_taken_over(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE)) as connection, connection:
        connection.execute("CREATE TABLE recipes (title TEXT)")
    with pytest.raises(StoreCorrupt, match="not a registry"):
        Registry.open(tmp_path)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreUnavailable, match="data_dir"):
        Registry.open(tmp_path / "file" / "data")


def test_a_busy_database_is_unavailable_after_its_timeout_and_works_again(tmp_path: Path) -> None:
    Registry.open(tmp_path).close()
    database = Database.sqlite(tmp_path / DATABASE_FILE, busy_timeout_s=0.05)
    with closing(database), closing(RevisionSignal(tmp_path / SIGNAL_FILE)) as revision_signal:
        registry = Registry(database, revision_signal)
        with closing(sqlite3.connect(tmp_path / DATABASE_FILE, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable, match="locked") as caught:
                registry.create(parse_entry({"name": "Verysecret"}), actor="op")
            assert "Verysecret" not in str(caught.value)
            assert registry.entry_count() == 0
            other.execute("ROLLBACK")
        assert registry.create(parse_entry({"name": "x"}), actor="op").is_new


def test_a_database_behind_the_signal_goes_on_above_it(tmp_path: Path) -> None:
    with closing(Registry.open(tmp_path)) as registry:
        registry.signal.publish(41)
    with closing(Registry.open(tmp_path)) as registry:
        assert registry.seq() == 41
        assert registry.create(parse_entry({"name": "x"}), actor="op").record.revision == 42
        assert registry.signal.read() == 42


def test_a_signal_behind_the_database_is_raised_on_opening_and_on_repeated_creation(tmp_path: Path) -> None:
    body = parse_entry({"id": "e", "name": "x"})
    with closing(Registry.open(tmp_path)) as registry:
        registry.create(body, actor="op")
        (tmp_path / SIGNAL_FILE).write_bytes(bytes(8))
        assert registry.signal.read() == 0
        assert not registry.create(body, actor="op").is_new
        assert registry.signal.read() == 1
    (tmp_path / SIGNAL_FILE).unlink()
    with closing(Registry.open(tmp_path)) as registry:
        assert registry.signal.read() == 1
