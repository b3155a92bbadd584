"""Warm-up in the whole proxy: who is registered has a bank before the first request that needs it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from guardrail.app import Proxy
from guardrail.backends import create
from guardrail.backends.echo import Echo
from guardrail.decision import Capability
from guardrail.denoising import bank_cache
from guardrail.denoising.concept_bank import build_bank
from guardrail.denoising.preparation import Preparation
from guardrail.picture_warming import SETTLE_S
from guardrail.settings import BackendSettings, DrawingSettings
from tests.fakes.tiny_pipelines import NUMPY_2, PIXELS, save_tiny
from tests.fakes.waiting import until
from tests.integration.running import Running, running, settings_for

pytestmark = pytest.mark.filterwarnings(NUMPY_2)

STYLE: dict[str, Any] = {"name": "strypov", "kind": "style"}
PROMPTS = ("a red circle by strypov", "a dog by strypov")


class Listening(Echo):
    """A backend that notes how much it is handed to get ready."""

    def __init__(self) -> None:
        super().__init__(BackendSettings(name="m", kind="echo"))
        self.capabilities = frozenset({Capability.IMAGES, Capability.STEERING, Capability.NEGATIVE_PROMPT})
        self.told: list[int] = []

    def prepare(self, preparations: Sequence[Preparation]) -> None:
        self.told.append(len(preparations))


def tiny(folder: Path) -> BackendSettings:
    drawing = DrawingSettings(steps=1, size=f"{PIXELS}x{PIXELS}")
    return BackendSettings(
        name="m", kind="diffusers_pipeline", model=str(folder), models={"tiny": "tiny"}, device="cpu", drawing=drawing
    )


async def picture(proxy: Running, prompt: str) -> bytes:
    body = {"prompt": prompt, "model": "tiny", "seed": 7}
    answer = await proxy.raw("/v1/images/generations", orjson.dumps(body))
    assert answer.status == 200, answer.raw
    return base64.b64decode(answer.json["data"][0]["b64_json"])


async def test_the_first_treated_picture_finds_the_bank_of_its_entry_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[int] = []

    def counting(*given: Any, **more: Any) -> Any:
        bank = build_bank(*given, **more)
        built.append(1)  # behind it: a request gives up what is being built for nobody
        return bank

    monkeypatch.setattr(bank_cache, "build_bank", counting)
    own = tiny(save_tiny("sd15", tmp_path / "model"))
    settings = settings_for(tmp_path / "data")
    async with running(settings, [(own, create(own))]) as proxy:
        before = await picture(proxy, PROMPTS[0])
        await proxy.forget(**STYLE)
        await until(lambda: len(built) == 1)
        assert await picture(proxy, PROMPTS[0]) != before
        await picture(proxy, PROMPTS[1])
        assert len(built) == 1, "requests learn nothing that was learnt already"
    async with running(settings, [(own, create(own))]) as proxy:
        await until(lambda: len(built) == 2)
        await picture(proxy, PROMPTS[0])
        assert len(built) == 2, "what a start finds in the registry is got ready, too"


@pytest.mark.parametrize(
    ("workers", "keeps_memory", "told"),
    [(1, True, [0, 1]), (2, False, [0]), (2, True, [])],
    ids=["the only process", "a worker", "who changes entries beside workers"],
)
async def test_only_a_process_that_draws_gets_ready(
    tmp_path: Path, workers: int, keeps_memory: bool, told: list[int]
) -> None:
    backend = Listening()
    settings = settings_for(tmp_path, server={"workers": workers})
    proxy = Proxy(settings, backends=[(BackendSettings(name="m", kind="echo"), backend)])
    await proxy.start(keeps_memory=keeps_memory)
    try:
        await until(lambda: backend.told == told[:1])
        if keeps_memory:
            transport = httpx.ASGITransport(app=proxy.admin_app())
            async with httpx.AsyncClient(transport=transport, base_url="http://admin") as admin:
                assert (await admin.post("/v1/forget/entries", json=STYLE)).status_code == 201
            await asyncio.sleep(2 * SETTLE_S)  # what must not come has had its time
        await until(lambda: backend.told == told)
    finally:
        await proxy.stop(keeps_memory=keeps_memory)
    assert backend.told == told
