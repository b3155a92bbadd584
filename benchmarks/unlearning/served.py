"""The proxy under measurement: `expunge serve` with a model that knows (or never did), and its admin API.

One process a model; treatments are switched while it runs. It is configured as `expunge init` writes it: meaning is
compared and answers are judged. It knows addresses and records, not what is asked.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.knowing.models import adapter_of
from benchmarks.processes import ServerFailed, free_ports, running
from benchmarks.targets import OFFLINE, ROOT
from benchmarks.unlearning.choices import Served
from benchmarks.unlearning.rows import SUBSTITUTE
from benchmarks.unlearning.traces import Traces
from finetune.errors import ModelUnsuitable
from guardrail.backends.local_model import PACKAGED
from retrieval.stores.data_folder import NAMING_KEY_FILE

MODEL: Final = "model"
AT_ONCE: Final = 16
_NAMING_KEY: Final = bytes(range(32))
"""The same invented names in every run."""

_START_S: Final = 900.0
_FOLLOW_S: Final = 300.0

EMBEDDER: Final = "minilm-int8"
"""What `expunge init` writes. It brings the semantic detector, and with it the judge of requests and answers."""

LADDER: Final = "from guardrail.cli import main; main()"
NO_LADDER: Final = "from benchmarks.unlearning.first_answers import main; main()"


@dataclass(frozen=True, kw_only=True, slots=True)
class Proxy:
    """`url` is that of the OpenAI-compatible listener, `admin` that of the other."""

    url: str
    admin: str
    traces: Traces = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "traces", Traces(self._audit))

    def register(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Register entries and wait until all that is remembered of them is embedded. Raises `ServerFailed`."""
        for entry in entries:
            call(f"{self.admin}/v1/forget/entries", entry)
        self._wait()
        self._check([str(entry["id"]) for entry in entries])

    def treat(self, ids: Sequence[str], method: str) -> None:
        """Give these entries a treatment, and wait until they are decided by. Raises `ServerFailed`."""
        changes = {"treatment": {"method": method}, "substitute": SUBSTITUTE if method == "substitute" else None}
        for one in ids:
            call(f"{self.admin}/v1/forget/entries/{one}", changes, method="PATCH")
        self._wait()

    def _audit(self, cursor: str) -> Mapping[str, Any]:
        after = f"&cursor={urllib.parse.quote(cursor)}" if cursor else ""
        return call(f"{self.admin}/v1/audit?limit=1000{after}")

    def _check(self, ids: Sequence[str]) -> None:
        ready = call(f"{self.admin}/readyz")
        lacking = [one for one in ids if call(f"{self.admin}/v1/forget/entries/{one}").get("memory") != "ready"]
        if ready.get("embedder") != EMBEDDER or ready["registry"]["entries"] != len(ids) or lacking:
            raise ServerFailed(
                f"The proxy compares by '{ready.get('embedder')}' and enforces {ready['registry']['entries']} of "
                f"{len(ids)} entries, {len(lacking)} of them not embedded; it must be '{EMBEDDER}' and all."
            )

    def _wait(self) -> None:
        deadline, before = time.monotonic() + _FOLLOW_S, None
        while left := call(f"{self.admin}/readyz").get("memory_building", 0):
            if left != before:
                deadline, before = time.monotonic() + _FOLLOW_S, left
            if time.monotonic() > deadline:
                raise ServerFailed(f"The memory of no entry was built within {_FOLLOW_S:.0f} s.")
            time.sleep(0.5)


@contextmanager
def serving(
    which: Served,
    work: Path,
    *,
    assistant: Path | None = None,
    lane: int = 0,
    lanes: int = 1,
    has_ladder: bool = True,
) -> Iterator[Proxy]:
    """The proxy with an empty registry in front of the packaged model, with an adapter or "untrained" without one.

    One of `lanes` that share the machine's cores. Without a ladder: see `first_answers.py`. Raises `ServerFailed`, and
    `ModelUnsuitable` where the adapter is missing.
    """
    adapter = None if which == "untrained" else adapter_of(which)
    if adapter and not (adapter / "adapter_config.json").exists():
        raise ModelUnsuitable(f"{adapter} holds no adapter; `make knowing-models` makes it.")
    folder = work / f"served-{which}-{lane}"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "data").mkdir(parents=True)
    (folder / "data" / NAMING_KEY_FILE).write_bytes(_NAMING_KEY)
    port, admin_port = free_ports(2)
    path = folder / "expunge.yaml"
    served = configuration(folder, port, admin_port, adapter=adapter, assistant=assistant)
    path.write_text(yaml.safe_dump(served), encoding="utf-8")
    start = [LADDER, "serve"] if has_ladder else [NO_LADDER]
    command = [sys.executable, "-c", *start, "--config", str(path)]
    url, admin = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin_port}"
    threads = max(1, (os.cpu_count() or 1) // lanes)
    environment = {**OFFLINE, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads)}
    with running(
        f"expunge-{which}",
        command,
        url=admin,
        ready_path="/readyz",
        work_dir=folder,
        environment=environment,
        limit_s=_START_S,
    ):
        yield Proxy(url=url, admin=admin)


def configuration(
    folder: Path, port: int, admin_port: int, *, adapter: Path | None, assistant: Path | None = None
) -> dict[str, Any]:
    """As `expunge init` writes it, but for a detector that may take long: a busy machine must not look like a treatment."""
    backend = {
        "name": "local",
        "kind": "transformers_local",
        "models": {MODEL: PACKAGED},
        "dtype": "bfloat16",
        "max_concurrent": AT_ONCE,
    }
    folders = {"adapter": adapter, "assistant": assistant}
    backend |= {setting: str(path.resolve()) for setting, path in folders.items() if path}
    return {
        "server": {"port": port, "admin_port": admin_port},
        "backends": [backend],
        "policy": {"detector_timeout_s": 60.0},
        "retrieval": {"data_dir": str(folder.resolve() / "data"), "embedder": EMBEDDER},
    }


def call(url: str, body: Mapping[str, Any] | None = None, *, method: str | None = None) -> dict[str, Any]:
    """A JSON answer of the admin API. Raises `ServerFailed`."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        error.close()
        raise ServerFailed(f"{request.get_method()} {url} was answered with status {error.code}.") from None
    except (OSError, ValueError) as error:
        raise ServerFailed(f"{request.get_method()} {url} failed ({type(error).__name__}).") from None
