"""Shadow: decided, recorded and reported, and nothing changes for any caller."""

from __future__ import annotations

from tests.integration.conftest import Start
from tests.integration.world import ENTRY, LEAK, QUESTION, ask


async def test_a_proxy_that_only_watches_changes_nothing_and_reports_what_it_would_have_done(start: Start) -> None:
    proxy = await start(policy={"shadow": True, "detector_failure": "fail_closed"})
    await proxy.forget(**ENTRY)
    client = proxy.client()
    for stream in (False, True):
        assert await ask(client, "chat", QUESTION, stream=stream) == LEAK
    await ask(client, "chat", "What is the capital of France?")
    assert (await proxy.raw("/v1/embeddings", {"model": "echo", "input": QUESTION})).status == 200
    assert (await proxy.raw("/v1/nothing", {})).status == 404, "not denied"
    proxy.proxy.audit.flush()
    report = (await proxy.admin("GET", "/v1/forget/shadow-report")).json()
    (mira,) = report["entries"]
    assert (mira["id"], mira["state"]) == ("mira", "suppressed")
    assert (mira["requests"], mira["met"], mira["would_change"]) == (4, 3, 3)
    assert mira["by_tenant"] == {"default": 3}
    assert mira["scores"][-1] == 3


async def test_a_revision_is_watched_too_and_a_revoked_entry_no_longer(start: Start) -> None:
    proxy = await start(policy={"shadow": True})
    await proxy.forget(**ENTRY)
    await proxy.chat(QUESTION)
    await proxy.admin("PATCH", "/v1/forget/entries/mira", {"aliases": ["Goose Lady"]})
    assert "Mira" in str((await proxy.chat(QUESTION)).json)
    await proxy.chat("Who is the Goose Lady?")
    await proxy.admin("DELETE", "/v1/forget/entries/mira")
    await proxy.chat(QUESTION)
    proxy.proxy.audit.flush()
    (mira,) = (await proxy.admin("GET", "/v1/forget/shadow-report")).json()["entries"]
    assert mira["met"] == 3
