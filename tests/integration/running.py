"""A whole proxy in the test's own event loop: the real app behind a real uvicorn on a free loopback port.

The admin app is called over ASGI, except where a test runs `expunge serve` as a process of its own.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import orjson
import uvicorn
from openai import AsyncOpenAI
from yarl import URL

from guardrail.app import Proxy
from guardrail.backends.echo import Echo, Script
from guardrail.backends.protocol import Backend
from guardrail.backends.vllm_server import VllmServer
from guardrail.settings import BackendSettings, Settings, parse
from retrieval.pictures import PictureBook
from retrieval.searcher import Searcher


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A whole answer as bytes."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        """The decoded body."""
        return orjson.loads(self.raw)

    @property
    def error(self) -> dict[str, Any]:
        """The error object; fails unless it has exactly the four keys."""
        error = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"}, error
        assert isinstance(error["message"], str)
        assert error["message"]
        assert error["code"] is None or isinstance(error["code"], str)
        assert isinstance(error["type"], str)
        return dict(error)

    @property
    def events(self) -> list[Any]:
        """The JSON data of a stream's events, without the end marker and comments."""
        lines = [line[6:] for line in self.raw.split(b"\n") if line.startswith(b"data: ")]
        return [orjson.loads(line) for line in lines if line != b"[DONE]"]

    @property
    def streamed_text(self) -> str:
        """The content of a chat or completions stream."""
        choices = [choice for event in self.events for choice in event.get("choices", ())]
        return "".join(one.get("text") or (one.get("delta") or {}).get("content") or "" for one in choices)


@dataclass(kw_only=True)
class Running:
    """A proxy that serves."""

    proxy: Proxy
    url: str
    session: aiohttp.ClientSession
    admin_client: httpx.AsyncClient
    stack: AsyncExitStack
    clients: dict[str, AsyncOpenAI] = field(default_factory=dict)

    def client(self, key: str = "sk-nobody", **options: Any) -> AsyncOpenAI:
        """The real client, without retries unless asked for; closed with the proxy."""
        made = AsyncOpenAI(base_url=f"{self.url}/v1", api_key=key, **{"max_retries": 0, **options})
        self.stack.push_async_callback(made.close)
        return made

    async def raw(
        self,
        path: str,
        body: bytes | Mapping[str, Any] | None = None,
        *,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One call with exactly these bytes."""
        data = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
        given = {"content-type": "application/json", **(headers or {})}
        async with self.session.request(
            method or ("GET" if body is None else "POST"),
            URL(self.url + path, encoded=True),
            data=data,
            headers=given,
        ) as answer:
            return Answer(
                status=answer.status,
                headers={name.lower(): value for name, value in answer.headers.items()},
                raw=await answer.read(),
            )

    async def chat(self, *texts: str, **fields: Any) -> Answer:
        """A chat call whose messages are user turns."""
        fields.setdefault("messages", [{"role": "user", "content": text} for text in texts])
        return await self.raw("/v1/chat/completions", {"model": "echo", **fields})

    async def admin(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> httpx.Response:
        """A call to the admin app."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        content = None if body is None else orjson.dumps(body)
        return await self.admin_client.request(method, path, content=content, headers=headers)

    async def forget(self, name: str, *, key: str | None = None, **fields: Any) -> str:
        """Register an entry; gives its id."""
        answer = await self.admin("POST", "/v1/forget/entries", {"name": name, **fields}, key=key)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def metrics(self, key: str | None = None) -> dict[str, float]:
        """Every sample of `/metrics` by its name with labels."""
        lines = (await self.admin("GET", "/metrics", key=key)).text.splitlines()
        pairs = [line.rsplit(" ", 1) for line in lines if line and not line.startswith("#")]
        return {name: float(value) for name, value in pairs}


def settings_for(data_dir: Path, **sections: Any) -> Settings:
    """Settings with a data folder of the test's own."""
    retrieval = {"data_dir": str(data_dir), **sections.pop("retrieval", {})}
    return parse({"retrieval": retrieval, **sections})


def echo_backend(script: Script | None = None, **fields: Any) -> tuple[BackendSettings, Backend]:
    """The echo backend with a script."""
    settings = BackendSettings(name="echo", kind="echo", **fields)
    return settings, Echo(settings, script=script)


def server_backend(url: str, **fields: Any) -> tuple[BackendSettings, Backend]:
    """A backend over HTTP."""
    settings = BackendSettings(name="upstream", kind="vllm_server", base_url=url, **fields)
    return settings, VllmServer(settings)


def free_socket() -> socket.socket:
    """A listening socket on a free port."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


@asynccontextmanager
async def listening(app: Any) -> AsyncIterator[str]:
    """Serve an ASGI app by uvicorn in this event loop; gives its address."""
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    sock = free_socket()
    await server.startup(sockets=[sock])
    try:
        yield "http://{}:{}".format(*sock.getsockname())
    finally:
        server.force_exit = True
        await server.shutdown(sockets=[sock])


@asynccontextmanager
async def running(
    settings: Settings,
    backends: Sequence[tuple[BackendSettings, Backend]],
    *,
    searcher: Searcher | None = None,
    pictures: PictureBook | None = None,
) -> AsyncIterator[Running]:
    """A proxy from start to stop."""
    proxy = Proxy(settings, backends=list(backends), searcher=searcher, pictures=pictures)
    await proxy.start()
    try:
        async with AsyncExitStack() as stack:
            url = await stack.enter_async_context(listening(proxy.data_app))
            session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
            transport = httpx.ASGITransport(app=proxy.admin_app())
            admin = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://admin"))
            yield Running(proxy=proxy, url=url, session=session, admin_client=admin, stack=stack)
    finally:
        await proxy.stop()
