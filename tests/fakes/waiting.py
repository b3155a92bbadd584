"""Waiting in tests for what happens in other tasks, threads or processes."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

PATIENCE_S = 60.0


async def until(
    holds: Callable[[], bool | Awaitable[bool]], *, pause_s: float = 0.005, patience_s: float = PATIENCE_S
) -> None:
    """Return once `holds` does; raises `TimeoutError` after a minute (`patience_s`), which is a test that has failed."""
    async with asyncio.timeout(patience_s):
        while True:
            told = holds()
            if await told if inspect.isawaitable(told) else told:
                return
            await asyncio.sleep(pause_s)
