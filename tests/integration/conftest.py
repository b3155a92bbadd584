"""Proxies for the integration tests: over the echo backend that knows things, and over a byte-exact fake server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from guardrail.backends.echo import Script
from tests.fakes.openai_server import Behaviour, FakeOpenAIServer
from tests.integration.running import Running, echo_backend, running, server_backend, settings_for
from tests.integration.world import KNOWS

Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start a proxy over the echo backend: `await start(script=..., server={...}, policy={...})`."""
    async with AsyncExitStack() as stack:
        started = 0

        async def one(*, script: Script | None = None, backend: dict[str, Any] | None = None, **how: Any) -> Running:
            nonlocal started
            started += 1
            searcher = how.pop("searcher", None)
            folder = how.pop("data_dir", tmp_path / f"data{started}")
            backends = how.pop("backends", None) or [
                echo_backend(KNOWS if script is None else script, **(backend or {}))
            ]
            return await stack.enter_async_context(running(settings_for(folder, **how), backends, searcher=searcher))

        yield one


@pytest.fixture
async def echo(start: Start) -> Running:
    """A proxy with default settings over the echo backend that knows things and obeys nobody."""
    return await start()


@pytest.fixture
async def upstream() -> AsyncIterator[FakeOpenAIServer]:
    """The fake server."""
    async with FakeOpenAIServer(Behaviour(models=("fake-model",))) as server:
        yield server


@pytest.fixture
async def relay(upstream: FakeOpenAIServer, tmp_path: Path) -> AsyncIterator[Running]:
    """A proxy over the fake server."""
    async with running(settings_for(tmp_path / "data"), [server_backend(upstream.url)]) as proxy:
        yield proxy
