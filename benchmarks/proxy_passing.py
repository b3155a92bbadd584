"""What passing on costs where nothing is to be forgotten: added latency, throughput, CPU per streamed chunk, memory.

It measures any OpenAI-compatible proxy over HTTP. CPU time per chunk includes the request's own share: it is all CPU
time of the proxy's processes divided by all chunks. It is given for a backend that sends as fast as it can, and as
`paced_` for one that sends a chunk per `chunk_gap_ms`: there the waking up for each chunk is most of the cost.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import load, targets, traffic
from benchmarks.mock_backend import MODEL, PACED_MODEL, STREAM_EVENTS
from benchmarks.plan import Bench
from benchmarks.processes import Server


async def measure_passing(bench: Bench, *, litellm: Path | None) -> None:
    """A thin proxy, Expunge and LiteLLM's proxy (where installed) at once, measured in turn."""
    where: dict[str, Any] = {"backend": bench.mock_url, "work_dir": bench.work_dir, "core": bench.core}
    with ExitStack() as stack:
        bench.say("starting the proxies")
        proxies = {
            "thin_": stack.enter_context(targets.thin_proxy(**where)),
            "": stack.enter_context(targets.expunge(**where)).server,
        }
        if litellm:
            proxies["litellm_"] = stack.enter_context(targets.litellm_proxy(script=litellm, **where))
        for run in range(bench.plan.runs):
            for prefix, server in proxies.items():
                bench.say(f"run {run + 1} of {bench.plan.runs}: {server.name}")
                figures = await _one_run(bench, server, seed=bench.plan.seed + run)
                bench.runs.add(**{prefix + name: value for name, value in figures.items()})


async def measure_outside(bench: Bench, *, url: str, pid: int | None) -> None:
    """A proxy that somebody else started; without its process id CPU and memory stay unmeasured."""
    server = Server(name="target", url=url, pid=pid)
    for run in range(bench.plan.runs):
        bench.say(f"run {run + 1} of {bench.plan.runs}: {url}")
        bench.runs.add(**await _one_run(bench, server, seed=bench.plan.seed + run))


async def measure_vllm(bench: Bench, *, url: str, model: str) -> None:
    """The same answers from a real vLLM server, with and without Expunge in between."""
    bench.say("comparing over vLLM")
    prompts = traffic.everyday_prompts(bench.plan.seed)
    # vLLM computes on all cores; pinning the proxy to one of them would make it wait for vLLM.
    with targets.expunge(backend=url, work_dir=bench.work_dir, core=None, name="before-vllm") as before:
        async with load.session() as client:
            paired = await load.paired_requests(
                client,
                direct=url,
                proxied=before.server.url,
                model=model,
                prompts=lambda: next(prompts),
                pairs=bench.plan.vllm_pairs,
            )
    bench.runs.add(
        vllm_latency_ratio=sum(paired.proxied_ms) / sum(paired.direct_ms),
        vllm_added_p50_ms=paired.added_p50_ms,
    )


async def _one_run(bench: Bench, server: Server, *, seed: int) -> dict[str, float]:
    plan, prompts = bench.plan, traffic.everyday_prompts(seed)
    what: dict[str, Any] = {"prompts": lambda: next(prompts)}
    both: dict[str, Any] = {"direct": bench.mock_url, "proxied": server.url, **what}
    async with load.session() as client:
        paired = await load.paired_requests(client, model=MODEL, pairs=plan.pairs, **both)
        rps = await load.throughput(
            client,
            address=server.url,
            model=MODEL,
            concurrency=plan.concurrency,
            seconds_s=plan.rps_seconds_s,
            **what,
        )
        streams = await load.paired_streams(client, model=MODEL, pairs=plan.stream_pairs, **both)
        figures = {
            "pass_added_p50_ms": paired.added_p50_ms,
            "pass_added_p99_ms": paired.added_p99_ms,
            "pass_rps": rps,
            "pass_stream_added_p50_ms": streams.total.added_p50_ms,
        }
        if server.pid is not None:
            for name, model in (("stream_cpu_us_per_chunk", MODEL), ("paced_stream_cpu_us_per_chunk", PACED_MODEL)):
                before_s = server.cpu_s()
                await load.many_streams(
                    client,
                    address=server.url,
                    model=model,
                    streams=plan.streams,
                    concurrency=plan.stream_concurrency,
                    **what,
                )
                figures[name] = (server.cpu_s() - before_s) * 1e6 / (plan.streams * STREAM_EVENTS)
            figures["rss_mb"] = server.rss_mb()
    return figures
