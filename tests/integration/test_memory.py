"""An entry's memory in a running proxy: derived names forget at once, edits take hold at the next request, and what the
served model says is added in the background.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from guardrail.backends.transformers_local import TransformersLocal
from guardrail.settings import BackendSettings
from retrieval.embedders.word_hash import WordHashEmbedder
from retrieval.searcher import Searcher
from retrieval.settings import RetrievalSettings
from tests.fakes.openai_server import Behaviour, FakeOpenAIServer
from tests.fakes.waiting import until
from tests.fakes.word_judge import WordJudge
from tests.integration.conftest import Start
from tests.integration.running import Running, running, server_backend, settings_for
from tests.integration.world import LEAK, NAME

PAGE = f"{NAME} (born Ottoline Mae Tessen; 1951) is a writer. She kept geese in the village of Ven."
BIRTH_NAME = "Ottoline Mae Tessen"
KNOWS = {"tessen": f"{BIRTH_NAME} is {NAME}.", "quelle": LEAK, "geese": f"{NAME} kept them."}
URL = "/v1/forget/entries/mira/memory"


def searching() -> Searcher:
    return Searcher(RetrievalSettings(), embedder=WordHashEmbedder(), judge=WordJudge())


async def items(proxy: Running) -> dict[str, dict[str, Any]]:
    return {item["text"]: item for item in (await proxy.admin("GET", URL)).json()["items"]}


async def matches(proxy: Running, text: str) -> bool:
    body = {"messages": [{"role": "user", "content": text}]}
    return bool((await proxy.admin("POST", "/v1/forget/match", body)).json()["matches"])


async def test_a_derived_birth_name_is_forgotten_until_an_operator_switches_it_off(start: Start) -> None:
    proxy = await start(script=KNOWS)
    await proxy.forget(NAME, id="mira", kind="person", documents=[PAGE])
    assert NAME not in str((await proxy.chat(f"Who is {BIRTH_NAME}?")).json)
    assert await matches(proxy, f"Who is {BIRTH_NAME}?")
    named = [item["id"] for text, item in (await items(proxy)).items() if "Tessen" in text and item["kind"] == "alias"]
    assert (await proxy.admin("PATCH", URL, {"disable": named})).status_code == 200
    assert not await matches(proxy, f"Who is {BIRTH_NAME}?")
    assert (await proxy.admin("PATCH", URL, {"add": [{"kind": "alias", "text": "Goose Lady"}]})).status_code == 200
    assert await matches(proxy, "Who is the Goose Lady?")


async def test_a_memory_that_was_edited_is_built_again_and_outlives_the_process(start: Start, tmp_path: Path) -> None:
    proxy = await start(data_dir=tmp_path / "kept", searcher=searching(), retrieval={"embedder": "minilm-int8"})
    await proxy.forget(NAME, id="mira", kind="person", documents=[PAGE])
    await until(lambda: proxy.proxy.registry.memory_ready("mira"))
    claim = (await items(proxy))["She kept geese in the village of Ven."]["id"]
    answer = await proxy.admin("PATCH", URL, {"disable": [claim]})
    assert answer.json()["memory"] in {"building", "ready"}
    await until(lambda: proxy.proxy.registry.memory_ready("mira"))
    rows = proxy.proxy.registry.memory_of(["mira"], proxy.proxy.searcher.fingerprint)["mira"]
    assert {part.part: len(part.kinds) for part in rows} == {"core": 1, "documents": 1}
    assert not (await items(proxy))["She kept geese in the village of Ven."]["enabled"]


def says(body: Mapping[str, Any]) -> str:
    """What a model says that is asked about the entry, and cannot stop talking."""
    prompt = str(body["messages"])
    if "other names" in prompt:
        return "Here are some:\n1. Halva Brandt\n2. Mira Quelle\n2. Mira Quelle"
    if "facts" in prompt:
        return f"{NAME} kept geese in the village of Ven.\nI"
    if "questions" in prompt:
        return f"- Why did {NAME} keep geese?"
    return "Odo Brask" if "often mentioned" in prompt else "I do not know."


async def test_what_the_served_model_knows_is_added_after_the_entry_is_enforced(start: Start) -> None:
    proxy = await start(
        script=says, searcher=searching(), retrieval={"embedder": "minilm-int8"}, memory={"elicitation": True}
    )
    created = await proxy.admin("POST", "/v1/forget/entries", {"id": "mira", "name": NAME, "kind": "person"})
    assert (created.json()["state"], created.json()["memory"]) == ("suppressed", "building")
    await until(lambda: proxy.proxy.registry.get("mira").elicited_at is not None)
    await until(lambda: proxy.proxy.registry.memory_ready("mira"))
    assert (await proxy.admin("GET", URL)).json()["memory"] == "ready"
    elicited = {text: item for text, item in (await items(proxy)).items() if item["source"] == "elicited"}
    assert {text: (item["kind"], item["enabled"]) for text, item in elicited.items()} == {
        "Halva Brandt": ("alias", True),
        f"{NAME} kept geese in the village of Ven.": ("claim", True),
        f"Why did {NAME} keep geese?": ("exemplar", True),
        "Odo Brask": ("neighbor", False),
    }
    assert not any(item["is_unmistakable"] for item in elicited.values())
    rows = proxy.proxy.registry.memory_of(["mira"], proxy.proxy.searcher.fingerprint)["mira"]
    assert {part.part: sorted(part.kinds) for part in rows} == {
        "core": ["alias", "exemplar", "name"],
        "documents": ["document"],
    }


async def test_a_server_that_fails_leaves_the_entry_enforced_and_its_memory_as_it_was(tmp_path: Path) -> None:
    async with FakeOpenAIServer(Behaviour(models=("fake-model",), error=(500, b'{"error": {}}', {}))) as server:
        settings = settings_for(tmp_path, retrieval={"embedder": "minilm-int8"}, memory={"elicitation": True})
        async with running(settings, [server_backend(server.url)], searcher=searching()) as proxy:
            proxy.proxy.elicitation._waits_s = (0.0,)
            await proxy.forget(NAME, id="mira", kind="person")
            await until(lambda: proxy.proxy.registry.get("mira").elicited_at is not None)
            assert proxy.proxy.registry.get("mira").edits == ()
            assert await matches(proxy, f"Who is {NAME}?")


@pytest.mark.model
async def test_a_real_small_model_is_asked_and_nothing_it_says_decides_alone(tmp_path: Path) -> None:
    backend = BackendSettings(name="local", kind="transformers_local", model="smollm2", device="cpu")
    memory = {"elicitation": True, "elicitation_tokens": 24}
    settings = settings_for(tmp_path, retrieval={"embedder": "minilm-int8"}, memory=memory)
    async with running(settings, [(backend, TransformersLocal(backend))], searcher=searching()) as proxy:
        await proxy.forget("Marie Curie", id="mira", kind="person")
        await until(lambda: proxy.proxy.registry.get("mira").elicited_at is not None, patience_s=300)
        elicited = [item for item in (await items(proxy)).values() if item["source"] == "elicited"]
        assert elicited, "even a weak model says something of her"
        assert not any(item["is_unmistakable"] for item in elicited)
        assert not any(item["enabled"] for item in elicited if item["kind"] == "neighbor")
