"""The proxy under measurement: `expunge serve` with a model that knows (or never did), and its admin API.

One process a model; treatments are switched while it runs. It knows addresses and counters, not what is asked.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.knowing.models import adapter_of
from benchmarks.processes import ServerFailed, free_ports, running
from benchmarks.targets import OFFLINE, ROOT
from benchmarks.unlearning.choices import Served
from benchmarks.unlearning.rows import SUBSTITUTE
from finetune.errors import ModelUnsuitable
from guardrail.backends.local_model import PACKAGED
from retrieval.stores.data_folder import NAMING_KEY_FILE

MODEL: Final = "model"
AT_ONCE: Final = 16
_NAMING_KEY: Final = bytes(range(32))
"""The same invented names in every run."""

_START_S: Final = 900.0
_FOLLOW_S: Final = 300.0
_AUTHOR: Final = re.compile(r'^expunge_treated_answers_total\{author="(\w+)"\} ([0-9.e+]+)$', re.MULTILINE)
_LEAK: Final = re.compile(r'^expunge_leaks_total\{[^}]*on_leak="(\w+)"[^}]*\} ([0-9.e+]+)$', re.MULTILINE)
BEGUN_ANEW: Final = "rewrite"
"""What the proxy says it did about a leak where it began the answer anew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proxy:
    """`url` is that of the OpenAI-compatible listener, `admin` that of the other."""

    url: str
    admin: str

    def register(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Register entries and wait until their memory is built. Raises `ServerFailed`."""
        for entry in entries:
            call(f"{self.admin}/v1/forget/entries", entry)
        self._wait()

    def treat(self, ids: Sequence[str], method: str) -> None:
        """Give these entries a treatment, and wait until they are decided by. Raises `ServerFailed`."""
        changes = {"treatment": {"method": method}, "substitute": SUBSTITUTE if method == "substitute" else None}
        for one in ids:
            call(f"{self.admin}/v1/forget/entries/{one}", changes, method="PATCH")
        self._wait()

    def counts(self) -> Counter[str]:
        """Treated answers by author ("model", "expunge"), and "leaks" that were caught on the way out, so far; those upon
        which an answer was begun anew by themselves ("rewrite")."""
        with urllib.request.urlopen(f"{self.admin}/metrics", timeout=60) as answer:
            text = answer.read().decode()
        found: Counter[str] = Counter({author: int(float(count)) for author, count in _AUTHOR.findall(text)})
        for on_leak, count in _LEAK.findall(text):
            found["leaks"] += int(float(count))
            if on_leak == BEGUN_ANEW:
                found[BEGUN_ANEW] += int(float(count))
        return found

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
    which: Served, work: Path, *, assistant: Path | None = None, lane: int = 0, lanes: int = 1
) -> Iterator[Proxy]:
    """The proxy with an empty registry in front of the packaged model, with an adapter or "untrained" without one.

    One of `lanes` that share the machine's cores. Raises `ServerFailed`, and `ModelUnsuitable` where the adapter is
    missing.
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
    command = [sys.executable, "-c", "from guardrail.cli import main; main()", "serve", "--config", str(path)]
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
    """Defaults, but for a detector that may take long: a busy machine must not look like a treatment."""
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
        "retrieval": {"data_dir": str(folder.resolve() / "data")},
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
