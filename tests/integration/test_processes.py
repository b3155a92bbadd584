"""`expunge serve` as processes of its own: several workers, sudden death, restart, an orderly stop, backup and restore."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import yaml

import guardrail
from retrieval.backup import backup, restore
from tests.fakes.waiting import until
from tests.integration.conftest import Start
from tests.integration.world import ENTRY, KNOWS, LEAK, QUESTION, ask, assert_clean

ROOT = Path(guardrail.__file__).parents[1]
PATIENCE_S = 30.0


def _is_alive(process: psutil.Process) -> bool:
    return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in socks:
            sock.bind(("127.0.0.1", 0))
        return [int(sock.getsockname()[1]) for sock in socks]


class Served:
    """`expunge serve` over the plain echo backend, which repeats every question."""

    def __init__(self, folder: Path, *, workers: int) -> None:
        ports = free_ports(2)
        self.data, self.admin = (f"http://127.0.0.1:{port}" for port in ports)
        self.log = folder / "serve.log"
        self._config = folder / "expunge.yaml"
        server = {"port": ports[0], "admin_port": ports[1], "workers": workers, "drain_s": 20}
        backends = [{"name": "echo", "kind": "echo"}]
        retrieval = {"data_dir": str(folder / "data")}
        self._config.write_text(yaml.safe_dump({"server": server, "backends": backends, "retrieval": retrieval}))
        self.process: subprocess.Popen[bytes] | None = None
        # Every call has a connection of its own, so that all workers are met.
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))

    async def start(self) -> None:
        command = [sys.executable, "-c", "from guardrail.cli import main; main()", "serve", "--config"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with self.log.open("ab") as log:
            # Started once a test, and it returns at once.
            self.process = subprocess.Popen(  # noqa: ASYNC220
                [*command, str(self._config)], stdout=log, stderr=log, env=environment
            )
        await until(self._is_up)

    async def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            for address in (f"{self.admin}/readyz", f"{self.data}/healthz"):
                async with self.session.get(address) as answer:
                    answer.raise_for_status()
        except aiohttp.ClientError:
            return False
        return True

    def family(self) -> list[psutil.Process]:
        """The main process and its workers."""
        assert self.process is not None
        main = psutil.Process(self.process.pid)
        return [main, *(child for child in main.children() if "spawn_main" in " ".join(child.cmdline()))]

    async def ended(self, processes: list[psutil.Process]) -> None:
        await until(lambda: not any(map(_is_alive, processes)))
        if self.process is not None and self.process.pid in {one.pid for one in processes}:
            self.process.wait(PATIENCE_S)

    async def forget(self, name: str, entry_id: str) -> int:
        async with self.session.post(f"{self.admin}/v1/forget/entries", json={"id": entry_id, "name": name}) as answer:
            return answer.status

    async def says(self, text: str, **fields: Any) -> str:
        body = {"model": "echo", "messages": [{"role": "user", "content": text}], **fields}
        async with self.session.post(f"{self.data}/v1/chat/completions", json=body) as answer:
            assert answer.status == 200, await answer.text()
            return str((await answer.json())["choices"][0]["message"]["content"])

    async def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            family = self.family()
            self.process.terminate()
            await self.ended(family)
        await self.session.close()


@pytest.fixture
async def two_workers(tmp_path: Path) -> AsyncIterator[Served]:
    served = Served(tmp_path, workers=2)
    try:
        await served.start()
        yield served
    finally:
        await served.stop()


def name_of(number: int) -> str:
    return f"Person Numero{number}x"


async def test_an_entry_counts_on_every_worker_and_outlives_sudden_death(two_workers: Served) -> None:
    served = two_workers
    assert len(served.family()) == 3
    for number in range(50):
        question = f"Tell me of {name_of(number)}"
        if number % 10 == 0:
            assert await served.says(question) == question, "the model repeats what it is asked"
        assert await served.forget(name_of(number), f"p{number}") == 201
        for said in await asyncio.gather(*(served.says(question) for _ in range(3))):
            assert name_of(number) not in said, f"round {number} was not treated"

    acknowledged = await _kill_while_registering(served)
    await served.start()
    for number in (0, 25, 49, *acknowledged):
        said = await served.says(f"Tell me of {name_of(number)}")
        assert name_of(number) not in said, f"entry {number} was acknowledged and is lost"
    assert await served.says("Tell me of rain") == "Tell me of rain"
    assert "Numero" not in served.log.read_text()


async def _kill_while_registering(served: Served) -> list[int]:
    """Entries acknowledged until the main process was killed; returns once its workers have gone as well."""
    acknowledged: list[int] = []
    family = served.family()

    async def register() -> None:
        for number in range(1000, 9000):
            if await served.forget(name_of(number), f"p{number}") == 201:
                acknowledged.append(number)

    task = asyncio.create_task(register())
    await until(lambda: len(acknowledged) >= 5)
    family[0].send_signal(signal.SIGKILL)
    await asyncio.gather(task, return_exceptions=True)
    await served.ended(family)
    return acknowledged


async def test_a_worker_that_dies_is_replaced(two_workers: Served) -> None:
    main, *workers = two_workers.family()
    assert await two_workers.forget(name_of(1), "p1") == 201
    for worker in workers:
        worker.kill()
    await two_workers.ended(workers)

    async def is_back() -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            assert name_of(1) not in await two_workers.says(f"Tell me of {name_of(1)}")
            return len(two_workers.family()) == 3
        return False

    await until(is_back)
    assert main.is_running()


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_stream_under_way_is_finished_when_the_server_is_told_to_stop(tmp_path: Path, workers: int) -> None:
    served = Served(tmp_path, workers=workers)
    try:
        await served.start()
        family = served.family()
        text = "All of this is said before the end."
        body = {
            "model": "echo",
            "messages": [{"role": "user", "content": text}],
            "stream": True,
            "echo_chunks": 1,
            "echo_delay_s": 0.03,
        }
        async with served.session.post(f"{served.data}/v1/chat/completions", json=body) as answer:
            first = await answer.content.readany()
            family[0].terminate()
            rest = await answer.content.read()
        assert (first + rest).endswith(b"data: [DONE]\n\n")
        assert rest.count(b'"content"') > 5, "it was still speaking when the signal came"
        await served.ended(family)
        assert served.process is not None
        assert served.process.returncode == 0
        with pytest.raises(aiohttp.ClientError):
            await served.says("still there?")
        assert "Traceback" not in served.log.read_text()
    finally:
        await served.stop()


async def test_a_restored_backup_decides_as_before(start: Start, tmp_path: Path) -> None:
    proxy = await start(data_dir=tmp_path / "first")
    await proxy.forget(**ENTRY)
    revoked = await proxy.forget(id="gone", name="France")
    await proxy.admin("DELETE", f"/v1/forget/entries/{revoked}")
    decided = (await proxy.admin("POST", "/v1/forget/match", {"prompt": QUESTION})).json()["decision"]
    backup(tmp_path / "first", tmp_path / "saved.tar.gz")
    await proxy.admin("DELETE", "/v1/forget/entries/mira")
    assert await ask(proxy.client(), "chat", QUESTION) == LEAK

    restore(tmp_path / "saved.tar.gz", tmp_path / "second")
    again = await start(data_dir=tmp_path / "second", script=KNOWS)
    assert_clean(await ask(again.client(), "chat", QUESTION))
    assert "Paris" in await ask(again.client(), "chat", "What is the capital of France?")
    assert (await again.admin("POST", "/v1/forget/match", {"prompt": QUESTION})).json()["decision"] == decided
    assert (await again.admin("GET", "/v1/audit/verify")).json()["ok"] is True


async def test_a_restart_over_the_same_folder_decides_the_same(tmp_path: Path) -> None:
    from tests.integration.running import echo_backend, running, settings_for

    settings = settings_for(tmp_path / "data")
    told = []
    for round_number in range(2):
        async with running(settings, [echo_backend(KNOWS)]) as proxy:
            if round_number == 0:
                await proxy.forget(**ENTRY)
            told.append((await proxy.admin("POST", "/v1/forget/match", {"prompt": QUESTION})).json()["matches"])
            assert_clean(await ask(proxy.client(), "chat", QUESTION))
    assert told[0] == told[1]
