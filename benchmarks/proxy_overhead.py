"""What Expunge costs in front of a backend, beside a thin proxy and LiteLLM's proxy, in one run on one machine.

All proxies run at once and are measured in turn, so that the machine's moods hit all alike; proxies share one core,
the load generator and the mock backend another. Everything is measured over HTTP and from outside the processes.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Final

from benchmarks import report, targets
from benchmarks.plan import Bench, Outside, Plan, Progress
from benchmarks.processes import can_pin, pin_self
from benchmarks.proxy_guard import measure_guard
from benchmarks.proxy_passing import measure_outside, measure_passing, measure_vllm

PROXY_CORE: Final = 0
LOAD_CORE: Final = 1

PANELS: Final = {
    "added latency, one request at a time, median (ms)": (
        "thin_pass_added_p50_ms",
        "pass_added_p50_ms",
        "guard_added_p50_ms",
        "guard_encoder_added_p50_ms",
        "litellm_pass_added_p50_ms",
    ),
    "added latency, one request at a time, 99th percentile (ms)": (
        "thin_pass_added_p99_ms",
        "pass_added_p99_ms",
        "guard_added_p99_ms",
        "guard_encoder_added_p99_ms",
        "litellm_pass_added_p99_ms",
    ),
    "requests per second, one worker on one core": ("thin_pass_rps", "pass_rps", "litellm_pass_rps"),
    "CPU time per streamed chunk (µs)": (
        "thin_stream_cpu_us_per_chunk",
        "stream_cpu_us_per_chunk",
        "litellm_stream_cpu_us_per_chunk",
    ),
    "CPU time per streamed chunk, one chunk a millisecond (µs)": (
        "thin_paced_stream_cpu_us_per_chunk",
        "paced_stream_cpu_us_per_chunk",
        "litellm_paced_stream_cpu_us_per_chunk",
    ),
    "resident memory (MB)": ("thin_rss_mb", "rss_mb", "guard_rss_mb", "litellm_rss_mb"),
}


async def measure(plan: Plan, outside: Outside, say: Progress) -> report.BenchResult:
    """The whole benchmark; raises `ServerFailed` or `LoadFailed` where a server does not do its part."""
    hardware = report.hardware()
    pinned = can_pin()
    pin_self(LOAD_CORE if pinned else None)
    litellm = None if outside.target else targets.find_litellm()
    with tempfile.TemporaryDirectory(prefix="expunge-bench-") as folder:
        work_dir = Path(folder)
        with targets.mock_backend(
            work_dir=work_dir,
            core=LOAD_CORE if pinned else None,
            gap_ms=plan.chunk_gap_ms,
            port=outside.mock_port,
        ) as mock:
            core = PROXY_CORE if pinned else None
            bench = Bench(plan=plan, mock_url=mock.url, work_dir=work_dir, core=core, say=say)
            if outside.target:
                await measure_outside(bench, url=outside.target, pid=outside.target_pid)
            else:
                await measure_passing(bench, litellm=litellm)
                await measure_guard(bench)
            if outside.vllm_url:
                await measure_vllm(bench, url=outside.vllm_url, model=outside.vllm_model)
    versions = report.versions()
    if litellm:
        versions["litellm"] = targets.litellm_version(litellm)
    bench.notes["pinned"] = {"proxies": PROXY_CORE, "load_and_mock": LOAD_CORE} if pinned else "no"
    bench.notes["litellm_measured"] = litellm is not None
    bench.notes["target"] = outside.target or "started by the benchmark"
    return report.BenchResult(
        config=report.dated({**asdict(plan), **bench.notes}),
        versions=versions,
        hardware=hardware,
        figures=bench.runs.figures(),
        samples=bench.runs.samples(),
    )
