"""The doctor tries a server that is said to have an assistant, and looks for the embedded model's."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from guardrail.commands.checks import Finding, Level
from guardrail.commands.doctor_offset import check_offsets
from guardrail.settings import parse
from tests.fakes.openai_server import FakeOpenAIServer

REFUSED: tuple[int, bytes, dict[str, str]] = (400, b"{}", {})


class Reading(FakeOpenAIServer):
    """Refuses what the plug-in refuses: an offset that is no number, and every offset if it has no assistant."""

    has_assistant = True

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = orjson.loads(await request.read() or b"{}")
        beta = (asked.get("vllm_xargs") or {}).get("expunge_offset")
        is_refused = isinstance(beta, str) or (beta is not None and not self.has_assistant)
        self.behave(error=REFUSED if is_refused else None)
        return await super()._handle(request)


class Lacking(Reading):
    """Has the plug-in and no assistant."""

    has_assistant = False


async def findings(backend: dict[str, Any]) -> list[Finding]:
    settings = parse({"backends": [{"name": "main", **backend}]})
    return await asyncio.to_thread(lambda: list(check_offsets(settings)))


def server_at(url: str, **extra: Any) -> dict[str, Any]:
    return {"kind": "vllm_server", "base_url": url, "offsets": True, **extra}


async def test_a_server_with_an_assistant_is_well() -> None:
    async with Reading() as server:
        found = await findings(server_at(server.url))
    assert [one.level for one in found] == [Level.OK], found
    posted = [orjson.loads(call.body) for call in server.calls if call.method == "POST"]
    assert [body.get("vllm_xargs", {}).get("expunge_offset") for body in posted] == [None, 0.75, "none"]
    assert all(body["max_tokens"] == 1 for body in posted)


@pytest.mark.parametrize(("kind", "told"), [(FakeOpenAIServer, "nothing reads it"), (Lacking, "status 400")])
async def test_a_server_without_plug_in_or_assistant_fails_and_the_doctor_says_how_to_start_it(
    kind: type[FakeOpenAIServer], told: str
) -> None:
    async with kind() as server:
        found = await findings(server_at(server.url))
    assert [one.level for one in found] == [Level.FAIL]
    assert told in found[0].detail
    assert "EXPUNGE_ASSISTANT" in found[0].mend
    assert "guardrail.decoding.vllm_processor:ExpungeRestriction" in found[0].mend


@pytest.mark.parametrize("behaviour", [{"error": (500, b"{}", {})}, {"models": ("", "x")}])
async def test_what_cannot_be_tried_is_a_warning(behaviour: dict[str, Any]) -> None:
    async with FakeOpenAIServer() as server:
        server.behave(**behaviour)
        models = {"models": {"public": "unknown"}} if "models" in behaviour else {}
        found = await findings(server_at(server.url, **models))
    assert [one.level for one in found] == [Level.WARN]
    assert found[0].mend


async def test_a_server_that_is_not_there_is_a_warning() -> None:
    found = await findings(server_at("http://127.0.0.1:9"))
    assert [one.level for one in found] == [Level.WARN]


async def test_a_server_of_which_nothing_is_said_is_not_asked() -> None:
    async with FakeOpenAIServer() as server:
        assert await findings({"kind": "vllm_server", "base_url": server.url}) == []
        assert server.count == 0


async def test_the_embedded_models_assistant_is_looked_for(tmp_path: Path) -> None:
    backend = {"kind": "transformers_local", "assistant": str(tmp_path)}
    assert [one.level for one in await findings(backend)] == [Level.FAIL]
    (tmp_path / "config.json").write_text("{}")
    assert [one.level for one in await findings(backend)] == [Level.OK]
