"""A job's process on a real Ray cluster, which the test starts on this machine and stops again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from finetune.consolidation.launchers.ray_cluster import RayJob, RayLauncher
from finetune.errors import LaunchFailed
from tests.e2e.proxy_process import free_port


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayLauncher]:
    dashboard, head = free_port(), free_port()
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # sockets lie in it, whose paths must be short
    ray = Path(sys.executable).with_name("ray")
    command = [
        str(ray),
        "start",
        "--head",
        "--block",
        f"--port={head}",
        "--node-ip-address=127.0.0.1",
        "--dashboard-host=127.0.0.1",
        f"--dashboard-port={dashboard}",
        f"--temp-dir={folder}",
        "--num-cpus=2",
        "--object-store-memory=100000000",
        "--disable-usage-stats",
    ]
    log = tmp_path_factory.mktemp("ray") / "log.txt"
    environment = {**os.environ, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "PYTHONPATH": os.getcwd()}
    with log.open("wb") as out:
        cluster = subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True)
    made = RayLauncher(address=f"http://127.0.0.1:{dashboard}", quiet_s=0.2)
    try:
        _wait(made, cluster, log)
        yield made
    finally:
        os.killpg(cluster.pid, signal.SIGTERM)
        try:
            cluster.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(cluster.pid, signal.SIGKILL)
            cluster.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(launcher: RayLauncher, cluster: subprocess.Popen[bytes], log: Path) -> None:
    from ray.job_submission import JobSubmissionClient

    deadline = time.monotonic() + 120
    while True:
        try:
            JobSubmissionClient(launcher.address).list_jobs()
            return
        except (RuntimeError, ConnectionError, OSError):
            assert cluster.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.5)


def launched(launcher: RayLauncher, code: str, tmp_path: Path, **environment: str) -> RayJob:
    command = [sys.executable, "-c", code]
    return launcher.launch(command, log=tmp_path / "log.txt", environment=environment)


def test_its_lines_exit_code_and_last_word_are_known(launcher: RayLauncher, tmp_path: Path) -> None:
    said = 'print(\'{"stage": "train", "done": 1, "total": 2}\', flush=True)'
    job = launched(launcher, f"import os, sys; {said}; print(os.environ['WORD']); sys.exit(2)", tmp_path, WORD="last")
    lines = [line for line in job.lines() if line]
    assert '{"stage": "train", "done": 1, "total": 2}' in lines
    assert "last" in lines
    assert job.wait() == 2
    good = launched(launcher, "print('well')", tmp_path)
    assert "well" in list(good.lines())
    assert good.wait() == 0


def test_it_is_ended_and_found_again_while_it_runs(launcher: RayLauncher, tmp_path: Path) -> None:
    code = "import time; print('begun', flush=True); time.sleep(120)"
    job = launched(launcher, code, tmp_path)
    next(line for line in job.lines() if line == "begun")
    again = launched(launcher, code, tmp_path)  # by a worker whose predecessor was killed
    assert again._submission == job._submission
    again.stop()
    list(again.lines())
    assert job.wait() != 0


def test_a_cluster_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(LaunchFailed, match="does not take the job"):
        launched(RayLauncher(address=f"http://127.0.0.1:{free_port()}"), "pass", tmp_path)
