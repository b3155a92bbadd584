"""`expunge serve` as a process of its own, for end-to-end tests."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

_START_TIMEOUT_S = 120.0


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ProxyProcess:
    """A running proxy; `kill` and `start` again to see what survives."""

    def __init__(
        self, folder: Path, *, backends: Sequence[Mapping[str, Any]], retrieval: Mapping[str, Any] | None = None
    ) -> None:
        port, admin_port = free_port(), free_port()
        self.data_url = f"http://127.0.0.1:{port}"
        self.admin_url = f"http://127.0.0.1:{admin_port}"
        self.log = folder / "serve.log"
        self._config = folder / "expunge.yaml"
        configuration = {
            "server": {"port": port, "admin_port": admin_port, "drain_s": 5},
            "backends": list(backends),
            "retrieval": {"data_dir": str(folder / "data"), **(retrieval or {})},
        }
        self._config.write_text(yaml.safe_dump(configuration), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start and wait until it is ready."""
        command = [
            sys.executable,
            "-c",
            "from guardrail.cli import main; main()",
            "serve",
            "--config",
            str(self._config),
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env={"HF_HUB_OFFLINE": "1", **os.environ})
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self.is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the proxy did not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop in order."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(30)

    def kill(self) -> None:
        """Stop without warning, as a power cut would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(30)

    def is_ready(self) -> bool:
        """True once the backend answers."""
        try:
            return bool(self.admin("GET", "/readyz")["ready"])
        except (urllib.error.URLError, ConnectionError, KeyError):
            return False

    def admin(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One call to the admin listener; raises `urllib.error.HTTPError` on an error answer."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(
            f"{self.admin_url}{path}", data=data, method=method, headers={"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            decoded: dict[str, Any] = json.loads(answer.read())
        return decoded

    def forget(self, entry: Mapping[str, Any]) -> str:
        """Register an entry."""
        return str(self.admin("POST", "/v1/forget/entries", entry)["id"])

    def revoke(self, entry_id: str) -> None:
        """Revoke an entry."""
        self.admin("DELETE", f"/v1/forget/entries/{entry_id}")
