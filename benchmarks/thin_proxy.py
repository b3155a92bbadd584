"""The least that a Python proxy can do: pass a request and its answer on, unread. It shows what the machine allows.

Raw ASGI over aiohttp, the stack that Expunge's data plane is made of, without anything that Expunge does. Run as a
process of its own: `python -m benchmarks.thin_proxy --port 8191 --backend http://127.0.0.1:8190`.
"""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp
import uvicorn

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]


class ThinProxy:
    """The ASGI application."""

    def __init__(self, *, backend: str) -> None:
        self._backend = backend
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
            self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        body = b""
        more = scope["method"] != "GET"
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        url = self._backend + scope["path"]
        headers = {"content-type": "application/json"}
        async with self._session.request(scope["method"], url, data=body or None, headers=headers) as answer:
            kept = [(b"content-type", answer.headers.get("content-type", "").encode())]
            await send({"type": "http.response.start", "status": answer.status, "headers": kept})
            async for chunk in answer.content.iter_any():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--backend", required=True)
    arguments = parser.parse_args()
    app = ThinProxy(backend=arguments.backend)
    uvicorn.run(app, port=arguments.port, log_level="warning", access_log=False, lifespan="off", loop="uvloop")


if __name__ == "__main__":
    main()
