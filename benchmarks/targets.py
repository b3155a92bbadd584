"""The servers that the proxy benchmark compares: a mock backend, a thin proxy, Expunge, LiteLLM's proxy.

Each function starts one as it comes, without tuning that a user would not do, and gives its address. It knows how
they are configured, not what is measured.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.mock_backend import MODEL, PACED_MODEL
from benchmarks.processes import Server, free_ports, running

ROOT = Path(__file__).resolve().parents[1]
KEPT_MODELS = ROOT / ".cache" / "bench-models"
OFFLINE = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
# Expunge is measured without keys on loopback, so LiteLLM is too; a key would cost it a check on every request.
LITELLM_WITHOUT_KEYS = {"LITELLM_LOG": "ERROR", "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Expunge:
    """A running Expunge: the OpenAI-compatible listener as `server`, the admin listener's address as `admin_url`."""

    server: Server
    admin_url: str


@contextmanager
def mock_backend(*, work_dir: Path, core: int | None, gap_ms: float, port: int | None = None) -> Iterator[Server]:
    """The backend behind every proxy."""
    port = port or free_ports(1)[0]
    command = [sys.executable, "-m", "benchmarks.mock_backend", "--port", str(port), "--gap-ms", str(gap_ms)]
    url = f"http://127.0.0.1:{port}"
    with running("mock", command, url=url, ready_path="/health", work_dir=work_dir, core=core) as server:
        yield server


@contextmanager
def thin_proxy(*, backend: str, work_dir: Path, core: int | None) -> Iterator[Server]:
    """The least that a Python proxy costs on this machine."""
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "benchmarks.thin_proxy", "--port", str(port), "--backend", backend]
    url = f"http://127.0.0.1:{port}"
    with running("thin", command, url=url, ready_path="/v1/models", work_dir=work_dir, core=core) as server:
        yield server


@contextmanager
def expunge(
    *, backend: str, work_dir: Path, core: int | None, embedder: str = "none", name: str = "expunge"
) -> Iterator[Expunge]:
    """`expunge serve` with an empty registry of its own; files derived from the encoder are kept between runs."""
    port, admin_port = free_ports(2)
    data_dir = work_dir / f"{name}-data"
    data_dir.mkdir(mode=0o700)
    KEPT_MODELS.mkdir(parents=True, exist_ok=True)
    (data_dir / "models").symlink_to(KEPT_MODELS)
    config = {
        "server": {"port": port, "admin_port": admin_port},
        "backends": [{"name": "measured", "kind": "vllm_server", "base_url": backend}],
        "retrieval": {"data_dir": str(data_dir), "embedder": embedder},
    }
    path = work_dir / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("expunge")), "serve", "--config", str(path)]
    admin_url = f"http://127.0.0.1:{admin_port}"
    url = f"http://127.0.0.1:{port}"
    with running(
        name, command, url=url, ready_path="/v1/models", work_dir=work_dir, core=core, environment=OFFLINE
    ) as server:
        yield Expunge(server=server, admin_url=admin_url)


@contextmanager
def litellm_proxy(*, script: Path, backend: str, work_dir: Path, core: int | None) -> Iterator[Server]:
    """LiteLLM's proxy without database and callbacks, one worker."""
    port = free_ports(1)[0]
    where = {"api_base": f"{backend}/v1", "api_key": "unused"}
    config = {
        "model_list": [
            {"model_name": model, "litellm_params": {"model": f"openai/{model}", **where}}
            for model in (MODEL, PACED_MODEL)
        ],
        "litellm_settings": {"telemetry": False, "set_verbose": False},
    }
    path = work_dir / "litellm.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [str(script), "--config", str(path), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    url = f"http://127.0.0.1:{port}"
    with running(
        "litellm",
        command,
        url=url,
        ready_path="/health/liveliness",
        work_dir=work_dir,
        core=core,
        environment={**OFFLINE, **LITELLM_WITHOUT_KEYS},
    ) as server:
        yield server


def find_litellm() -> Path | None:
    """The `litellm` script of `make bench`'s environment (or EXPUNGE_LITELLM), or None where it is not installed."""
    named = os.environ.get("EXPUNGE_LITELLM")
    script = Path(named) if named else ROOT / ".venv-litellm" / "bin" / "litellm"
    return script if os.access(script, os.X_OK) else None


def litellm_version(script: Path) -> str:
    """Version of the LiteLLM that `script` starts."""
    program = "import importlib.metadata as m; print(m.version('litellm'))"
    python = script.with_name("python")
    return subprocess.run([str(python), "-c", program], check=True, capture_output=True, text=True).stdout.strip()
