"""A job's process on this machine, in a group of its own, so that it ends with all that it started.

It dies with the thread that launched it (Linux): a job is never trained by two processes because its worker was killed.
"""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from finetune.errors import LaunchFailed

_PR_SET_PDEATHSIG = 1
_STOP_S = 10.0
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalLauncher:
    """`quiet_s`: how long it may be silent before an empty line is told. `nice`: how much it gives way to others."""

    name: ClassVar[str] = "local"

    quiet_s: float = 1.0
    nice: int = 0

    def launch(self, command: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> LocalProcess:
        """Start it. Raises `LaunchFailed`."""
        try:
            with log.open("ab") as stderr:
                process = subprocess.Popen(  # noqa: S603 # the command is the worker's own
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    env={**os.environ, **environment},
                    start_new_session=True,
                    preexec_fn=self._prepare,  # noqa: PLW1509 # calls nothing but the kernel
                )
        except OSError as error:
            raise LaunchFailed(f"The job's process cannot be started: {error.strerror or error}.") from None
        return LocalProcess(process, log=log, quiet_s=self.quiet_s)

    def _prepare(self) -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if self.nice:
            os.nice(self.nice)


class LocalProcess:
    """A process of this machine."""

    def __init__(self, process: subprocess.Popen[bytes], *, log: Path, quiet_s: float) -> None:
        self._process, self._log, self._quiet_s = process, log, quiet_s
        self._said: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="job-output", daemon=True).start()

    def _read(self) -> None:
        if self._process.stdout is not None:
            with self._process.stdout as stdout:
                for line in stdout:
                    self._said.put(line.decode(errors="replace").rstrip("\n"))
        self._said.put(None)

    def lines(self) -> Iterator[str]:
        """See `Launched`."""
        while True:
            try:
                line = self._said.get(timeout=self._quiet_s)
            except queue.Empty:
                yield ""
                continue
            if line is None:
                return
            yield line

    def wait(self) -> int:
        """See `Launched`."""
        return self._process.wait()

    def error(self) -> str:
        """See `Launched`."""
        try:
            said = self._log.read_text(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return said[-1] if said else ""

    def stop(self) -> None:
        """See `Launched`."""
        for one in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is not None:
                return
            try:
                os.killpg(self._process.pid, one)
                self._process.wait(_STOP_S)
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                continue
