"""The embedded backend for tests: started on the CPU, asked as the proxy asks it, and closed again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson

from guardrail.backends import create
from guardrail.backends.protocol import Backend, BackendCall
from guardrail.settings import BackendSettings


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[Backend]:
    """A backend `m` under these settings. Raises what its start raises."""
    backend = create(BackendSettings(name="m", kind="transformers_local", device="cpu", **settings))
    await backend.start()
    try:
        yield backend
    finally:
        await backend.aclose()


async def sent(backend: Backend, body: Mapping[str, Any], path: str, *, model: str = "m") -> tuple[int, bytes]:
    """The status of its answer, and all of its bytes."""
    answer = await backend.send(BackendCall(path=path, body=orjson.dumps({"model": model, **body}), model=model))
    return answer.status, b"".join([chunk async for chunk in answer.chunks()])
