"""Judging probes in several processes, each with a proxy of its own over the same registry.

Within a process one probe follows the other: texts that are embedded together influence each other's last digits, and a
verdict must not hang on which probes happen to run side by side.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Final

from guardrail.errors import EvaluationFailed
from guardrail.evaluation.inputs import KnownEntry, Probe
from guardrail.evaluation.outcomes import Outcome
from guardrail.evaluation.proxy_under_test import ProxyUnderTest
from guardrail.settings import Settings

_CHUNK: Final = 16


class _Here:
    """This process's event loop and proxy."""

    loop: asyncio.AbstractEventLoop
    subject: ProxyUnderTest


def judge_in_processes(
    settings: Settings, entries: Sequence[KnownEntry], data_dir: Path, probes: Sequence[Probe], *, workers: int
) -> Iterator[Outcome]:
    """Outcomes as they come, in no order. Raises `EvaluationFailed`."""
    chunks = [probes[start : start + _CHUNK] for start in range(0, len(probes), _CHUNK)]
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start,
        initargs=(settings, entries, data_dir),
    )
    try:
        for done in as_completed([pool.submit(_judge, chunk) for chunk in chunks]):
            yield from done.result()
    except BrokenProcessPool:
        raise EvaluationFailed("A worker process ended; run with --workers 1 to see why.") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start(settings: Settings, entries: Sequence[KnownEntry], data_dir: Path) -> None:
    # Ctrl-C reaches the whole group; the parent ends its workers in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _Here.loop = asyncio.new_event_loop()
    _Here.subject = ProxyUnderTest(settings, entries, data_dir, keeps_memory=False)
    _Here.loop.run_until_complete(_Here.subject.start())


def _judge(probes: Sequence[Probe]) -> list[Outcome]:
    return [_Here.loop.run_until_complete(_Here.subject.judge(probe)) for probe in probes]
