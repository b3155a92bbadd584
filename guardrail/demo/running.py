"""A proxy process for the demo: configuration and registry in a temporary folder, stopped and removed at the end."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import click
import yaml
from rich.console import Console

from guardrail.demo.client import Client

MODEL = "smollm2"
_READY_TIMEOUT_S = 600.0
_STOP_TIMEOUT_S = 40.0


class RunningProxy:
    """Use as a context manager."""

    def __init__(self, *, port: int, admin_port: int) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="expunge-demo-"))
        self._log = self._folder / "serve.log"
        ports = [_free(port), _free(admin_port)]
        self.data_url, self.admin_url = (f"http://127.0.0.1:{number}" for number in ports)
        self.client = Client(self.data_url, self.admin_url, MODEL)
        self._config = self._folder / "expunge.yaml"
        self._config.write_text(yaml.safe_dump(_configuration(ports, self._folder / "data")), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        start = "from guardrail.cli import main; main()"
        command = [sys.executable, "-c", start, "serve", "--config", str(self._config)]
        with self._log.open("wb") as log:
            # The interpreter that runs the demo, with fixed arguments.
            # The models are installed packages: no hub is asked.
            environment = {"HF_HUB_OFFLINE": "1", **os.environ}
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)  # noqa: S603
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def wait_until_ready(self) -> None:
        """Return once the model answers; shows the server's log and ends the demo if it does not start."""
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while not self.client.is_ready():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                tail = self._log.read_text(encoding="utf-8", errors="replace")[-4_000:]
                raise click.ClickException(f"the proxy did not start:\n{tail}")
            time.sleep(0.3)

    def wait_for_end(self, console: Console) -> None:
        """Stay up until Ctrl-C."""
        console.print("The proxy stays up; Ctrl-C ends it and forgets the demo's registry.")
        try:
            while self._process is not None and self._process.poll() is None:
                time.sleep(0.5)
        except KeyboardInterrupt:
            console.print("Stopping.")


def _configuration(ports: list[int], data_dir: Path) -> dict[str, object]:
    return {
        "server": {"port": ports[0], "admin_port": ports[1], "drain_s": 5},
        "backends": [{"name": "embedded", "kind": "transformers_local", "model": MODEL}],
        "retrieval": {"data_dir": str(data_dir), "embedder": "minilm-int8"},
    }


def _free(wanted: int) -> int:
    """The wanted port if nothing listens there, else a free one."""
    for number in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise click.ClickException(f"no free port on this machine; choose another than {wanted}")
