"""What the guard costs with many entries: detection by name alone and by meaning, hold-back, registration.

Prompts are new every time. Which tier settled them is read from the proxy's own metrics and told beside each figure
(`_settled_share`): a figure for prompts that need the encoder is only given where the encoder was really asked.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from benchmarks import load, targets, traffic
from benchmarks.load import JSON_HEADERS, LoadFailed, percentile
from benchmarks.mock_backend import MODEL, PACED_MODEL
from benchmarks.plan import Bench

FIRST_TIER = re.compile(rb'^expunge_first_tier_total\{outcome="(\w+)"\} ([0-9.e+]+)$', re.MULTILINE)
DECISIONS = re.compile(rb'^expunge_decisions_total\{action="(\w+)",treatment="\w+"\} ([0-9.e+]+)$', re.MULTILINE)
ENCODER_SHARE_AT_LEAST = 0.9


async def measure_guard(bench: Bench) -> None:
    """Import the entries, then measure run by run."""
    plan = bench.plan
    with targets.expunge(
        backend=bench.mock_url, work_dir=bench.work_dir, core=bench.core, embedder=plan.embedder, name="guard"
    ) as guard:
        async with load.session() as client:
            bench.say(f"registering {plan.entries} entries")
            begun = time.perf_counter()
            await _import_entries(client, guard.admin_url, list(traffic.entries(plan.entries, seed=plan.seed)))
            bench.notes["import_s"] = round(time.perf_counter() - begun, 2)
            fresh = traffic.names(plan.seed + 1)
            for run in range(plan.runs):
                bench.say(f"run {run + 1} of {plan.runs}: guard")
                await _one_run(bench, client, guard, run=run, fresh=fresh)
        bench.runs.add(guard_rss_mb=guard.server.rss_mb())


async def _one_run(
    bench: Bench, client: aiohttp.ClientSession, guard: targets.Expunge, *, run: int, fresh: Iterator[str]
) -> None:
    plan = bench.plan
    everyday, nearby = traffic.everyday_prompts(plan.seed + run), traffic.nearby_prompts(plan.seed + run)
    both: dict[str, Any] = {"direct": bench.mock_url, "proxied": guard.server.url}

    before = await _counts(client, guard.admin_url)
    settled = await load.paired_requests(client, model=MODEL, prompts=lambda: next(everyday), pairs=plan.pairs, **both)
    between = await _counts(client, guard.admin_url)
    bench.runs.add(guard_added_p50_ms=settled.added_p50_ms, guard_added_p99_ms=settled.added_p99_ms)
    _add_share(bench, "guard_settled_share", "settled", before.tiers, between.tiers)
    _add_share(bench, "guard_treated_share", "treat", before.decisions, between.decisions)

    encoded = await load.paired_requests(
        client, model=MODEL, prompts=lambda: next(nearby), pairs=max(20, plan.pairs // 2), **both
    )
    after = await _counts(client, guard.admin_url)
    share = _add_share(bench, "guard_encoder_settled_share", "settled", between.tiers, after.tiers)
    _add_share(bench, "guard_encoder_treated_share", "treat", between.decisions, after.decisions)
    if share is None:
        bench.notes["guard_encoder"] = "not measured: the proxy did not count which tier settled the texts"
    elif share > 1 - ENCODER_SHARE_AT_LEAST:
        bench.notes["guard_encoder"] = f"not measured: the first tier settled a share of {share:.2f} of its prompts"
    else:
        bench.runs.add(guard_encoder_added_p50_ms=encoded.added_p50_ms, guard_encoder_added_p99_ms=encoded.added_p99_ms)

    streams = await load.paired_streams(
        client, model=PACED_MODEL, prompts=lambda: next(everyday), pairs=plan.stream_pairs, **both
    )
    bench.runs.add(
        stream_added_first_content_ms=streams.first_content.added_p50_ms,
        guard_stream_added_p50_ms=streams.total.added_p50_ms,
    )
    times_ms = [await _register(client, guard.admin_url, next(fresh)) for _ in range(plan.registrations)]
    bench.runs.add(register_p50_ms=percentile(times_ms, 50), register_p99_ms=percentile(times_ms, 99))


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What the proxy has counted so far: texts by the first tier's outcome, decisions by action."""

    tiers: Mapping[str, float]
    decisions: Mapping[str, float]


def read_counts(metrics: bytes) -> Counts:
    """From the proxy's metrics in Prometheus text format."""
    decisions: dict[str, float] = defaultdict(float)
    for action, count in DECISIONS.findall(metrics):
        decisions[action.decode()] += float(count)
    tiers = {outcome.decode(): float(count) for outcome, count in FIRST_TIER.findall(metrics)}
    return Counts(tiers=tiers, decisions=dict(decisions))


async def _counts(client: aiohttp.ClientSession, admin_url: str) -> Counts:
    async with client.get(f"{admin_url}/metrics") as answer:
        return read_counts(await answer.read())


def _add_share(
    bench: Bench, name: str, outcome: str, before: Mapping[str, float], after: Mapping[str, float]
) -> float | None:
    """Share of an outcome between two readings; None (and no figure) where the proxy counted nothing."""
    counted = {key: after[key] - before.get(key, 0.0) for key in after}
    total = sum(counted.values())
    if total <= 0:
        return None
    share = counted.get(outcome, 0.0) / total
    bench.runs.add(**{name: share})
    return share


async def _import_entries(client: aiohttp.ClientSession, admin_url: str, entries: list[dict[str, Any]]) -> None:
    body = b"\n".join(orjson.dumps(entry) for entry in entries) + b"\n"
    address = f"{admin_url}/v1/forget/entries:import"
    headers = {"content-type": "application/x-ndjson"}
    no_limit = aiohttp.ClientTimeout(total=None)
    async with client.post(address, params={"atomic": "true"}, data=body, headers=headers, timeout=no_limit) as answer:
        content = await answer.read()
        if answer.status not in {200, 201} or orjson.loads(content).get("created") != len(entries):
            raise LoadFailed(f"{address} answered {answer.status}: {content[:300]!r}")


async def _register(client: aiohttp.ClientSession, admin_url: str, name: str) -> float:
    """Milliseconds until the 201, which promises that the bare entry is enforced."""
    begun = time.perf_counter()
    address = f"{admin_url}/v1/forget/entries"
    async with client.post(address, data=orjson.dumps({"name": name}), headers=JSON_HEADERS) as answer:
        content = await answer.read()
        if answer.status != 201:
            raise LoadFailed(f"{address} answered {answer.status}: {content[:300]!r}")
    return (time.perf_counter() - begun) * 1000
