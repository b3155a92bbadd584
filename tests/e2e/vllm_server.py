"""A real vLLM server on the CPU for end-to-end tests: started once, stopped with all its processes.

It knows how to find and start vLLM, not what is tested. The server lives in an environment of its own (`make vllm`);
`EXPUNGE_VLLM_PYTHON` names another interpreter that has vLLM. Times are in seconds (`_s`).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODEL_NAME = "smollm2"
START_LIMIT_S = 300.0
STOP_LIMIT_S = 20.0
PROGRESS_EVERY_S = 15.0
LOG_TAIL_CHARS = 4_000


class VllmMissing(Exception):
    """There is no vLLM environment; the message says how to make one."""


class VllmFailed(Exception):
    """The server ended or never became healthy; the message carries the end of its log."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VllmServer:
    """A running server. `url` has no `/v1`; `pid` leads the process group; `start_s` is how long it took."""

    url: str
    model: str
    pid: int
    log: Path
    start_s: float


def vllm_python() -> Path:
    """The interpreter of the vLLM environment; raises `VllmMissing`."""
    named = os.environ.get("EXPUNGE_VLLM_PYTHON")
    python = Path(named) if named else ROOT / ".venv-vllm" / "bin" / "python"
    if not os.access(python, os.X_OK):
        raise VllmMissing(f"no vLLM at {python}; `make vllm` makes its environment, or set EXPUNGE_VLLM_PYTHON")
    return python


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_vllm(
    *, model_dir: Path, work_dir: Path, extra: tuple[str, ...] = (), variables: Mapping[str, str] | None = None
) -> Iterator[VllmServer]:
    """Start vLLM over `model_dir`, wait until it is healthy, stop its whole process group at the end.

    `extra` are further arguments for vLLM, `variables` for its environment; the log goes to `work_dir/vllm.log`. Raises
    `VllmMissing`, `VllmFailed`.
    """
    port = free_port()
    log = work_dir / "vllm.log"
    command = [str(ROOT / "deploy" / "vllm" / "serve.sh"), str(vllm_python()), str(model_dir), str(port), *extra]
    begun = time.monotonic()
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            cwd=work_dir,
            env=_environment() | dict(variables or {}),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_healthy(process, url=url, log=log, begun=begun)
        yield VllmServer(url=url, model=MODEL_NAME, pid=process.pid, log=log, start_s=time.monotonic() - begun)
    finally:
        stop_group(process)


def stop_group(process: subprocess.Popen[bytes]) -> None:
    """Ask the process group to end, kill what is left of it, and reap the leader.

    vLLM's engine and worker processes outlive a killed leader, so the group is what must end.
    """
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        deadline = time.monotonic() + STOP_LIMIT_S
        while time.monotonic() < deadline and _group_lives(process):
            time.sleep(0.1)
    process.wait(timeout=STOP_LIMIT_S)


def _group_lives(process: subprocess.Popen[bytes]) -> bool:
    process.poll()  # reaps the leader, which would otherwise stay in the group as a zombie
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def _environment() -> dict[str, str]:
    # The proxy's environment must not leak into vLLM's: its own libraries differ in version.
    dropped = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONWARNINGS"}
    return {key: value for key, value in os.environ.items() if key not in dropped}


def _wait_until_healthy(process: subprocess.Popen[bytes], *, url: str, log: Path, begun: float) -> None:
    told = begun
    while True:
        if process.poll() is not None:
            raise VllmFailed(f"vLLM ended with status {process.returncode} while starting:\n{_tail(log)}")
        if _is_healthy(url):
            return
        now = time.monotonic()
        if now - begun > START_LIMIT_S:
            raise VllmFailed(f"vLLM was not healthy after {START_LIMIT_S:.0f} s:\n{_tail(log)}")
        if now - told >= PROGRESS_EVERY_S:
            told = now
            print(f"waiting for vLLM: {now - begun:.0f} s", file=sys.__stderr__, flush=True)
        time.sleep(0.25)


def _is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL_CHARS:]
