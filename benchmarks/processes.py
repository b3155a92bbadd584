"""Servers under measurement: started as processes of their own, pinned to a core, weighed, stopped with their children.

It knows nothing of HTTP beyond waiting until an address answers. Memory is in MB (1,000,000 bytes), CPU time in
seconds; both are summed over the process and all its descendants.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

STOP_LIMIT_S = 10.0
LOG_TAIL_CHARS = 3_000


class ServerFailed(Exception):
    """A server under measurement ended or never answered; the message carries the end of its log."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """A running server. Without a process id (somebody else started it) it cannot be weighed."""

    name: str
    url: str
    pid: int | None

    def cpu_s(self) -> float:
        """User and system time used so far."""
        return sum(sum(process.cpu_times()[:2]) for process in self._processes())

    def rss_mb(self) -> float:
        """Resident memory now."""
        return sum(process.memory_info().rss for process in self._processes()) / 1e6

    def _processes(self) -> list[psutil.Process]:
        if self.pid is None:
            raise ServerFailed(f"{self.name} cannot be weighed without its process id")
        leader = psutil.Process(self.pid)
        return [leader, *leader.children(recursive=True)]


def free_ports(count: int) -> list[int]:
    """TCP ports of 127.0.0.1 that nothing listens on at this moment, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def can_pin() -> bool:
    """True where there are two cores and `taskset`, to keep proxies apart from the load generator."""
    return shutil.which("taskset") is not None and {0, 1} <= os.sched_getaffinity(0)


def pin_self(core: int | None) -> None:
    """Keep this process (the load generator) on one core."""
    if core is not None:
        os.sched_setaffinity(0, {core})


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    *,
    url: str,
    ready_path: str,
    work_dir: Path,
    core: int | None = None,
    environment: Mapping[str, str] | None = None,
    limit_s: float = 120.0,
) -> Iterator[Server]:
    """Start `command`, wait until `url + ready_path` answers below 500, stop its process group at the end.

    `core` pins it and its children. Its output goes to `work_dir/<name>.log`. Raises `ServerFailed`.
    """
    log = work_dir / f"{name}.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            _pinned(command, core),
            cwd=work_dir,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(process, url=url + ready_path, name=name, log=log, limit_s=limit_s)
        yield Server(name=name, url=url, pid=process.pid)
    finally:
        _stop(process)


def _pinned(command: Sequence[str], core: int | None) -> list[str]:
    # util-linux's taskset execs the command: the pid stays the server's own.
    return list(command) if core is None else ["taskset", "--cpu-list", str(core), *command]


def _wait(process: subprocess.Popen[bytes], *, url: str, name: str, log: Path, limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerFailed(f"{name} ended with status {process.returncode} while starting:\n{_tail(log)}")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500:
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        time.sleep(0.1)
    raise ServerFailed(f"{name} did not answer at {url} within {limit_s:.0f} s:\n{_tail(log)}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        deadline = time.monotonic() + STOP_LIMIT_S
        while time.monotonic() < deadline:
            process.poll()  # reaps the leader, which would otherwise stay in the group as a zombie
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                break
            time.sleep(0.05)
    process.wait(timeout=STOP_LIMIT_S)


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL_CHARS:]
