"""How much the proxy benchmark measures, and what its caller brings along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.report import Runs

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Numbers of requests, seconds and entries; every run measures all of them once."""

    quick: bool = False
    runs: int = 5
    pairs: int = 500
    rps_seconds_s: float = 5.0
    concurrency: int = 32
    stream_pairs: int = 100
    streams: int = 400
    stream_concurrency: int = 8
    chunk_gap_ms: float = 1.0
    entries: int = 10_000
    registrations: int = 200
    embedder: str = "minilm-int8"
    vllm_pairs: int = 30
    seed: int = 20_240_607


QUICK = Plan(
    quick=True,
    runs=2,
    pairs=80,
    rps_seconds_s=1.0,
    stream_pairs=20,
    streams=80,
    entries=300,
    registrations=40,
    vllm_pairs=5,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outside:
    """A proxy that already runs in front of the mock backend's port; a real vLLM server."""

    target: str | None = None
    target_pid: int | None = None
    mock_port: int | None = None
    vllm_url: str | None = None
    vllm_model: str = "smollm2"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """What every measurement needs: the plan, the mock backend's address, the proxies' core, where figures go.

    `notes` takes circumstances that belong to the configuration; `say` shows progress.
    """

    plan: Plan
    mock_url: str
    work_dir: Path
    core: int | None
    say: Progress
    runs: Runs = field(default_factory=Runs)
    notes: dict[str, Any] = field(default_factory=dict)
