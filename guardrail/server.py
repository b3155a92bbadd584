"""Processes and listeners: one process with both listeners, or an admin process with several data-plane workers.

Knows uvicorn, signals and sockets, and nothing of what is served. A stopping server finishes the answers under way
(`server.drain_s`), a worker that dies is started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import signal
import socket
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

import uvicorn
import uvloop

from guardrail import metrics
from guardrail.errors import ConfigError
from guardrail.settings import Settings

_RESTART_PAUSE_S = 0.5
_log = logging.getLogger("expunge")


class Served(Protocol):
    """What `app.Proxy` offers to whoever runs it."""

    data_app: Any

    async def start(self, *, keeps_memory: bool = True) -> None: ...
    async def stop(self, *, keeps_memory: bool = True) -> None: ...
    def admin_app(self) -> Any: ...


Build = Callable[[Settings], Served]


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: several run in one process, and this module owns the signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(settings: Settings, build: Build) -> None:
    """Serve until SIGINT or SIGTERM."""
    _log_plainly()
    data_socket = _bind(settings.server.host, settings.server.port, "server.port")
    admin_socket = _bind(settings.server.admin_host, settings.server.admin_port, "server.admin_port")
    if settings.server.workers == 1:
        uvloop.run(_serve(settings, build, data=data_socket, admin=admin_socket))
        return
    metrics.prepare_multiprocess(settings.retrieval.data_dir / "run")
    workers = _Workers(settings, build, data_socket)
    workers.start()
    try:
        uvloop.run(_serve(settings, build, data=None, admin=admin_socket, watch=workers.revive))
    finally:
        workers.stop()


def _log_plainly() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    _log.setLevel(logging.INFO)


async def _serve(
    settings: Settings,
    build: Build,
    *,
    data: socket.socket | None,
    admin: socket.socket | None,
    watch: Callable[[], None] | None = None,
) -> None:
    keeps_memory = admin is not None
    proxy = build(settings)
    await proxy.start(keeps_memory=keeps_memory)
    servers: list[tuple[_Server, socket.socket]] = []
    if data is not None:
        servers.append((_server(proxy.data_app, settings), data))
    if admin is not None:
        servers.append((_server(proxy.admin_app(), settings), admin))
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stop, [server for server, _ in servers], stopping)
    parent = multiprocessing.parent_process()
    if data is not None and admin is None and parent is not None:
        # A worker that outlived a killed parent would hold the port, and would follow a registry nobody guards.
        loop.add_reader(parent.sentinel, _orphaned, parent.sentinel, [server for server, _ in servers], stopping)
    tasks = [asyncio.create_task(server.serve(sockets=[sock])) for server, sock in servers]
    _announce(data, admin)
    watcher = asyncio.create_task(_watch(watch, stopping)) if watch else None
    try:
        await asyncio.gather(*tasks)
    finally:
        if watcher is not None:
            watcher.cancel()
        await proxy.stop(keeps_memory=keeps_memory)


def _server(app: Any, settings: Settings) -> _Server:
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, round(settings.server.drain_s)),
        proxy_headers=False,
    )
    return _Server(config)


def _stop(servers: list[_Server], stopping: asyncio.Event) -> None:
    for server in servers:
        server.force_exit = stopping.is_set()  # a second signal does not wait for answers under way
        server.should_exit = True
    stopping.set()


def _orphaned(sentinel: int, servers: list[_Server], stopping: asyncio.Event) -> None:
    asyncio.get_running_loop().remove_reader(sentinel)
    _log.error("the main process is gone; this worker stops")
    if not stopping.is_set():
        _stop(servers, stopping)


async def _watch(watch: Callable[[], None], stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        watch()
        await asyncio.sleep(_RESTART_PAUSE_S)


def _bind(host: str, port: int, key: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise ConfigError(f"{key}: cannot listen on {host}:{port} ({error.strerror}); choose another") from None
    sock.listen(2048)
    sock.setblocking(False)
    return sock


def _announce(data: socket.socket | None, admin: socket.socket | None) -> None:
    for name, sock in (("OpenAI API", data), ("admin API", admin)):
        if sock is not None:
            host, port = sock.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            _log.info("%s on http://%s:%s", name, shown, port)


class _Workers:
    """The data-plane processes, all accepting from one socket."""

    def __init__(self, settings: Settings, build: Build, sock: socket.socket) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._settings = settings
        self._build = build
        self._socket = sock
        self._running: list[BaseProcess] = []

    def start(self) -> None:
        self._running = [self._spawn() for _ in range(self._settings.server.workers)]
        _announce(self._socket, None)

    def _spawn(self) -> BaseProcess:
        worker = self._context.Process(
            target=_work, args=(self._settings, self._build, self._socket), name="expunge-worker", daemon=False
        )
        worker.start()
        return worker

    def revive(self) -> None:
        """Start again whatever has died."""
        for place, worker in enumerate(self._running):
            if not worker.is_alive():
                _log.error("worker %s ended with code %s; starting another", worker.pid, worker.exitcode)
                if worker.pid is not None:
                    metrics.worker_ended(worker.pid)
                self._running[place] = self._spawn()

    def stop(self) -> None:
        for worker in self._running:
            worker.terminate()
        deadline = time.monotonic() + self._settings.server.drain_s + 5
        for worker in self._running:
            worker.join(max(0.1, deadline - time.monotonic()))
            if worker.is_alive():
                worker.kill()
                worker.join()


def _work(settings: Settings, build: Build, sock: socket.socket) -> None:
    """A worker process."""
    _log_plainly()
    uvloop.run(_serve(settings, build, data=sock, admin=None))
