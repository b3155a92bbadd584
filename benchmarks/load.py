"""The load generator: paired requests for added latency, a closed loop for throughput, streams for CPU per chunk.

It knows two addresses and how to time them, not what stands behind. A pair is one request sent to the backend itself
and one through the proxy, right after each other and in alternating order, so that the machine's noise hits both.
Times are milliseconds (`_ms`) unless they say `_s`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CONTENT_DELTA = re.compile(rb'"content":\s*"[^"]')
LIMIT_S = 30.0
JSON_HEADERS = {"content-type": "application/json"}

Prompts = Callable[[], str]
"""Gives the next prompt; a fresh one each time where caches must not help."""


class LoadFailed(Exception):
    """A measured request was not answered 200; the message names the address, the status and the answer's begin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Paired:
    """Latencies of paired requests, same index = same pair."""

    direct_ms: tuple[float, ...]
    proxied_ms: tuple[float, ...]

    @property
    def added_p50_ms(self) -> float:
        """Median of the differences within pairs."""
        return percentile([b - a for a, b in zip(self.direct_ms, self.proxied_ms, strict=True)], 50)

    @property
    def added_p99_ms(self) -> float:
        """99th percentile through the proxy less the 99th percentile without it."""
        return percentile(self.proxied_ms, 99) - percentile(self.direct_ms, 99)


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamPairs:
    """Paired streams: until the first content arrives, and until the end."""

    first_content: Paired
    total: Paired


def percentile(values: Sequence[float], percent: float) -> float:
    """The percentile by linear interpolation between the closest ranks; raises `ValueError` without values."""
    if not values:
        raise ValueError("a percentile needs at least one value")
    ordered = sorted(values)
    rank = (len(ordered) - 1) * percent / 100
    below = int(rank)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (rank - below)


def chat_body(prompt: str, *, model: str, stream: bool = False) -> bytes:
    """A chat request of one user message."""
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": 64}
    return orjson.dumps({**body, "stream": True} if stream else body)


@asynccontextmanager
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A client with as many kept connections as are asked for."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=LIMIT_S)) as client:
        yield client


async def paired_requests(
    client: aiohttp.ClientSession, *, direct: str, proxied: str, model: str, prompts: Prompts, pairs: int
) -> Paired:
    """Whole answers one at a time, `pairs` times to each address; a tenth more goes first, untimed."""
    times: dict[str, list[float]] = {direct: [], proxied: []}
    for number, order in _orders(direct, proxied, pairs):
        body = chat_body(prompts(), model=model)
        for address in order:
            begun = time.perf_counter()
            await post(client, address, body)
            if number >= 0:
                times[address].append((time.perf_counter() - begun) * 1000)
    return Paired(direct_ms=tuple(times[direct]), proxied_ms=tuple(times[proxied]))


async def paired_streams(
    client: aiohttp.ClientSession, *, direct: str, proxied: str, model: str, prompts: Prompts, pairs: int
) -> StreamPairs:
    """Streamed answers one at a time, `pairs` times to each address; a tenth more goes first, untimed."""
    first: dict[str, list[float]] = {direct: [], proxied: []}
    total: dict[str, list[float]] = {direct: [], proxied: []}
    for number, order in _orders(direct, proxied, pairs):
        body = chat_body(prompts(), model=model, stream=True)
        for address in order:
            first_ms, total_ms = await stream(client, address, body)
            if number >= 0:
                first[address].append(first_ms)
                total[address].append(total_ms)
    return StreamPairs(
        first_content=Paired(direct_ms=tuple(first[direct]), proxied_ms=tuple(first[proxied])),
        total=Paired(direct_ms=tuple(total[direct]), proxied_ms=tuple(total[proxied])),
    )


async def throughput(
    client: aiohttp.ClientSession, *, address: str, model: str, prompts: Prompts, concurrency: int, seconds_s: float
) -> float:
    """Requests answered per second by `concurrency` callers that each send the next request on an answer."""
    end = time.perf_counter() + seconds_s
    answered = 0

    async def caller() -> None:
        nonlocal answered
        while time.perf_counter() < end:
            await post(client, address, chat_body(prompts(), model=model))
            answered += 1

    begun = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(concurrency)))
    return answered / (time.perf_counter() - begun)


async def many_streams(
    client: aiohttp.ClientSession, *, address: str, model: str, prompts: Prompts, streams: int, concurrency: int
) -> None:
    """`streams` streamed answers, `concurrency` at a time, read to their end."""
    left = iter(range(streams))

    async def caller() -> None:
        for _ in left:
            await stream(client, address, chat_body(prompts(), model=model, stream=True))

    await asyncio.gather(*(caller() for _ in range(concurrency)))


async def post(client: aiohttp.ClientSession, address: str, body: bytes) -> bytes:
    """One whole answer; raises `LoadFailed`."""
    async with _asked(client, address, body) as answer:
        content = await answer.read()
        if answer.status != 200:
            raise LoadFailed(f"{address} answered {answer.status}: {content[:300]!r}")
        return content


async def stream(client: aiohttp.ClientSession, address: str, body: bytes) -> tuple[float, float]:
    """Milliseconds to the first content and to the end of one streamed answer; raises `LoadFailed`."""
    begun = time.perf_counter()
    first_ms: float | None = None
    tail = b""
    async with _asked(client, address, body) as answer:
        if answer.status != 200:
            raise LoadFailed(f"{address} answered {answer.status}: {(await answer.read())[:300]!r}")
        async for chunk in answer.content.iter_any():
            if first_ms is None and CONTENT_DELTA.search(tail + chunk):
                first_ms = (time.perf_counter() - begun) * 1000
            tail = (tail + chunk)[-64:]
    if first_ms is None or b"[DONE]" not in tail:
        raise LoadFailed(f"{address} gave a stream without content or without its end: ...{tail!r}")
    return first_ms, (time.perf_counter() - begun) * 1000


@asynccontextmanager
async def _asked(client: aiohttp.ClientSession, address: str, body: bytes) -> AsyncIterator[aiohttp.ClientResponse]:
    try:
        async with client.post(f"{address}/v1/chat/completions", data=body, headers=JSON_HEADERS) as answer:
            yield answer
    except (aiohttp.ClientError, TimeoutError) as error:
        raise LoadFailed(f"{address} broke off or gave no answer within {LIMIT_S:.0f} s ({error!r})") from error


def _orders(direct: str, proxied: str, pairs: int) -> Iterator[tuple[int, tuple[str, str]]]:
    warm_up = max(10, pairs // 10)
    for number in range(-warm_up, pairs):
        yield number, (direct, proxied) if number % 2 else (proxied, direct)
