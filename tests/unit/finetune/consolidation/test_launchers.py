"""A job's process: its lines as they come, its end, and nothing left behind."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from finetune.consolidation.launchers import LAUNCHERS
from finetune.consolidation.launchers.local import LocalLauncher, LocalProcess
from finetune.errors import LaunchFailed


def python(code: str) -> Sequence[str]:
    return [sys.executable, "-c", code]


def launched(code: str, tmp_path: Path, **environment: str) -> LocalProcess:
    return LocalLauncher(quiet_s=0.1).launch(python(code), log=tmp_path / "log.txt", environment=environment)


def test_lines_come_as_they_are_said_with_empty_ones_in_silence(tmp_path: Path) -> None:
    process = launched("import time; print('one', flush=True); time.sleep(0.5); print('two')", tmp_path)
    said = list(process.lines())
    assert [line for line in said if line] == ["one", "two"]
    assert "" in said
    assert process.wait() == 0


def test_its_environment_exit_code_and_last_word_are_known(tmp_path: Path) -> None:
    code = "import os, sys; sys.stderr.write('first\\n' + os.environ['WORD'] + '\\n'); sys.exit(3)"
    process = launched(code, tmp_path, WORD="last")
    assert list(process.lines()) == []
    assert (process.wait(), process.error()) == (3, "last")


def test_it_ends_with_all_that_it_started(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    process = launched(code, tmp_path)
    child = int(next(line for line in process.lines() if line))
    process.stop()
    deadline = time.monotonic() + 10
    while _lives(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _lives(child)
    process.stop()


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_it_dies_with_its_worker(tmp_path: Path) -> None:
    """A killed worker leaves no second trainer behind."""
    code = f"""
import sys
sys.path.insert(0, {os.getcwd()!r})
from pathlib import Path
from finetune.consolidation.launchers.local import LocalLauncher
child = LocalLauncher().launch(
    [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"],
    log=Path({str(tmp_path / "child.txt")!r}), environment={{}},
)
print(next(line for line in child.lines() if line), flush=True)
os_ = __import__("os"); os_.kill(os_.getpid(), 9)
"""
    worker = launched(code, tmp_path)
    child = int(next(line for line in worker.lines() if line))
    worker.wait()
    deadline = time.monotonic() + 10
    while _lives(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _lives(child)


def test_what_cannot_be_started_is_told(tmp_path: Path) -> None:
    with pytest.raises(LaunchFailed, match="cannot be started"):
        LocalLauncher().launch(["/no/such/program"], log=tmp_path / "log.txt", environment={})


def test_launchers_are_known_by_name() -> None:
    assert {name: one.name for name, one in LAUNCHERS.items()} == {name: name for name in LAUNCHERS}
