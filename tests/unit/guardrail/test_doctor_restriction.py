"""The doctor tries a server that is said to restrict, and believes what comes."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from guardrail.backends.vllm_server import VllmServer
from guardrail.commands.checks import Finding, Level
from guardrail.commands.doctor_restriction import check_restrictions
from guardrail.decision import Capability
from guardrail.errors import ConfigError
from guardrail.settings import parse
from tests.fakes.openai_server import Behaviour, FakeOpenAIServer


class Heeding(FakeOpenAIServer):
    """Leaves out the words that it is asked not to write."""

    def _parts(self, path: str, asked: dict[str, Any]) -> list[bytes]:
        said = self.behaviour.text
        banned = orjson.loads((asked.get("vllm_xargs") or {}).get("expunge_phrases", "[]"))
        self.behave(text=" ".join(word for word in said.split(" ") if word.strip(".,").lower() not in banned) or "no")
        parts = super()._parts(path, asked)
        self.behave(text=said)
        return parts


async def findings(url: str, **backend: Any) -> list[Finding]:
    one = {"name": "main", "kind": "vllm_server", "base_url": url, **backend}
    settings = parse({"backends": [one]})
    return await asyncio.to_thread(lambda: list(check_restrictions(settings)))


async def test_a_server_that_heeds_is_well() -> None:
    async with Heeding(Behaviour(text="Thursday, Friday.")) as server:
        found = await findings(server.url, restricts=True)
    assert [one.level for one in found] == [Level.OK]
    first, second = (orjson.loads(call.body) for call in list(server.calls) if call.method == "POST")
    assert "vllm_xargs" not in first
    assert orjson.loads(second["vllm_xargs"]["expunge_phrases"]) == ["thursday"]
    assert first["max_tokens"] <= 16


async def test_a_server_that_does_not_heed_fails_and_the_doctor_says_how_to_start_it() -> None:
    async with FakeOpenAIServer(Behaviour(text="Thursday, Friday.")) as server:
        found = await findings(server.url, restricts=True)
    assert [one.level for one in found] == [Level.FAIL]
    assert "guardrail.decoding.vllm_processor:ExpungeRestriction" in found[0].mend


@pytest.mark.parametrize("behaviour", [{"text": "..."}, {"error": (500, b"{}", {})}, {"models": ("", "x")}])
async def test_what_cannot_be_tried_is_a_warning(behaviour: dict[str, Any]) -> None:
    async with FakeOpenAIServer(Behaviour(**behaviour)) as server:
        found = await findings(
            server.url, restricts=True, models={"public": "unknown"} if "models" in behaviour else {}
        )
    assert [one.level for one in found] == [Level.WARN]
    assert found[0].mend


async def test_a_server_of_which_nothing_is_said_is_not_asked() -> None:
    async with FakeOpenAIServer() as server:
        assert await findings(server.url) == []
        assert server.count == 0


def test_only_a_server_that_is_said_to_restrict_can() -> None:
    one = {"name": "main", "kind": "vllm_server", "base_url": "http://127.0.0.1:9"}
    plain, told = (VllmServer(parse({"backends": [one | extra]}).backends[0]) for extra in ({}, {"restricts": True}))
    assert Capability.RESTRICT not in plain.capabilities
    assert Capability.RESTRICT in told.capabilities
    assert Capability.BAD_WORDS in plain.capabilities & told.capabilities


@pytest.mark.parametrize("kind", ["transformers_local", "echo", "litellm_provider"])
def test_only_a_vllm_server_is_said_to_restrict(kind: str) -> None:
    with pytest.raises(ConfigError, match="restricts"):
        parse({"backends": [{"name": "b", "kind": kind, "restricts": True, "models": {"a": "b"}}]})
