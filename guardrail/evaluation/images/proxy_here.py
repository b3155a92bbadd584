"""A proxy of the evaluation's own: the real app behind real listeners on free loopback ports, in this event loop.

Its registry lies in a folder of its own. It asks for no keys, tells failures instead of passing them over, and leaves out
what draws nothing. It knows no suite.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import uvicorn

from guardrail.app import Proxy
from guardrail.errors import ConfigError
from guardrail.evaluation.images.asking import ProxyPlace
from guardrail.settings import AuthSettings, ServerSettings, Settings

_LONGEST_DETECTION_S: Final = 120.0
_DRAWS_NOTHING: Final = frozenset({"transformers_local"})


@asynccontextmanager
async def proxy_here(settings: Settings, data_dir: Path) -> AsyncIterator[ProxyPlace]:
    """Where it listens, until the block ends. Raises `ConfigError`."""
    await asyncio.to_thread(_emptied, data_dir)
    proxy = Proxy(_as_judged(settings, data_dir))
    await proxy.start()
    try:
        async with AsyncExitStack() as stack:
            data_url = await stack.enter_async_context(_listening(proxy.data_app))
            admin_url = await stack.enter_async_context(_listening(proxy.admin_app()))
            yield ProxyPlace(data_url=data_url, admin_url=admin_url)
    finally:
        await proxy.stop()


def _emptied(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _as_judged(settings: Settings, data_dir: Path) -> Settings:
    backends = tuple(one for one in settings.backends if one.kind not in _DRAWS_NOTHING)
    if not backends:
        raise ConfigError("backends: none that draws is configured; add one of kind diffusers_pipeline")
    longest = max(settings.policy.detector_timeout_s, _LONGEST_DETECTION_S)
    policy = {"detector_timeout_s": longest, "detector_failure": "fail_closed", "shadow": False}
    return settings.model_copy(
        update={
            "server": ServerSettings(max_body_bytes=settings.server.max_body_bytes),
            "auth": AuthSettings(),
            "backends": backends,
            "policy": settings.policy.model_copy(update=policy),
            "retrieval": settings.retrieval.model_copy(update={"data_dir": data_dir}),
        }
    )


@asynccontextmanager
async def _listening(app: Any) -> AsyncIterator[str]:
    config = uvicorn.Config(
        app, http="httptools", ws="none", lifespan="off", access_log=False, log_level="warning", server_header=False
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        await server.startup(sockets=[sock])
        try:
            yield "http://{}:{}".format(*sock.getsockname())
        finally:
            server.force_exit = True
            await asyncio.shield(server.shutdown(sockets=[sock]))
