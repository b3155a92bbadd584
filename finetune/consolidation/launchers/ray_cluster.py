"""A job's process on a Ray cluster: submitted with the resources that it needs, its log followed, ended on a word.

The cluster must see the job's folder under the same path (a shared file system), and have Expunge and its libraries. A
worker that begins the same command again finds the one that still runs, so that none is trained twice. Source: Ray's job
submission API (docs.ray.io, `JobSubmissionClient`).
"""

from __future__ import annotations

import hashlib
import os
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from finetune.consolidation.order import read_line
from finetune.errors import LaunchFailed

_STOP_S = 30.0
_ENDED = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})


@dataclass(frozen=True, kw_only=True, slots=True)
class RayLauncher:
    """`address` of the cluster's dashboard (`RAY_ADDRESS`, or this machine's); `cpus` and `gpus` for the process;
    `quiet_s`: how often the log is looked at."""

    name: ClassVar[str] = "ray"

    address: str = ""
    cpus: float = 1.0
    gpus: float = 0.0
    quiet_s: float = 1.0

    def launch(self, command: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> RayJob:
        """Submit it, or find it running. Raises `LaunchFailed`."""
        try:
            from ray.job_submission import JobSubmissionClient
        except ImportError:
            raise LaunchFailed("Ray is not installed; install it with: pip install 'expunge[ray]'") from None
        address = self.address or os.environ.get("RAY_ADDRESS") or "http://127.0.0.1:8265"
        entrypoint = shlex.join(command)
        try:
            client: Any = JobSubmissionClient(address)
            submission = self._running(client, entrypoint) or client.submit_job(
                entrypoint=entrypoint,
                submission_id=f"expunge-{hashlib.sha256(entrypoint.encode()).hexdigest()[:12]}-{time.time_ns()}",
                runtime_env={"env_vars": dict(environment)},
                entrypoint_num_cpus=self.cpus,
                entrypoint_num_gpus=self.gpus,
            )
        except (RuntimeError, ConnectionError, OSError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise LaunchFailed(f"The Ray cluster at {address} does not take the job: {first}") from None
        return RayJob(client, submission, quiet_s=self.quiet_s, log=log)

    @staticmethod
    def _running(client: Any, entrypoint: str) -> str | None:
        """The submission of this very command that has not ended: its worker was killed, it was not."""
        for job in client.list_jobs():
            if job.entrypoint == entrypoint and job.submission_id and str(job.status.value) not in _ENDED:
                return str(job.submission_id)
        return None


class RayJob:
    """A submitted job."""

    def __init__(self, client: Any, submission: str, *, quiet_s: float, log: Path) -> None:
        self._client, self._submission, self._quiet_s, self._log = client, submission, quiet_s, log
        self._told = 0
        self._last = ""

    def lines(self) -> Iterator[str]:
        """See `Launched`. Ray keeps stdout and stderr in one log."""
        while True:
            has_ended = self._status() in _ENDED
            yield from self._fresh(is_last=has_ended)
            if has_ended:
                return
            yield ""
            time.sleep(self._quiet_s)

    def wait(self) -> int:
        """See `Launched`."""
        info = self._client.get_job_info(self._submission)
        if str(info.status.value) == "SUCCEEDED":
            return 0
        code = info.driver_exit_code
        return int(code) if code else 1

    def error(self) -> str:
        """See `Launched`."""
        return self._last

    def stop(self) -> None:
        """See `Launched`."""
        if self._status() in _ENDED:
            return
        self._client.stop_job(self._submission)
        deadline = time.monotonic() + _STOP_S
        while self._status() not in _ENDED and time.monotonic() < deadline:
            time.sleep(0.2)

    def _status(self) -> str:
        return str(self._client.get_job_status(self._submission).value)

    def _fresh(self, *, is_last: bool) -> Iterator[str]:
        """Whole lines that were not told yet."""
        text = str(self._client.get_job_logs(self._submission))
        end = len(text) if is_last else text.rfind("\n") + 1
        for line in text[self._told : end].splitlines():
            if line.strip() and read_line(line) is None:
                self._last = line.strip()
            yield line
        self._told = max(self._told, end)
