"""An entry's memory over HTTP: shown item by item, switched on and off, added to; wrong input is a 4xx that says why."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.admin_services import AdminBench

URL = "/v1/forget/entries/mira/memory"
PAGE = "Mira Johanna Quelle (born 1951) is a writer. She kept geese in the village of Ven."


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[AdminBench]:
    bench = AdminBench.open(tmp_path / "data", retrieval={"embedder": "minilm-int8"})
    async with bench.client() as client:
        entry = {"id": "mira", "name": "Mira Quelle", "kind": "person", "aliases": ["M. Q."], "documents": [PAGE]}
        assert (await client.post("/v1/forget/entries", json=entry)).status_code == 201
    yield bench
    bench.registry.close()


@pytest.fixture
async def client(bench: AdminBench) -> AsyncIterator[httpx.AsyncClient]:
    async with bench.client() as client:
        yield client


async def items(client: httpx.AsyncClient, **query: str) -> dict[str, dict[str, Any]]:
    answer = await client.get(URL, params=query)
    assert answer.status_code == 200, answer.text
    return {item["text"]: item for item in answer.json()["items"]}


async def patch(client: httpx.AsyncClient, **change: Any) -> httpx.Response:
    return await client.patch(URL, json=change)


async def test_every_item_is_shown_with_its_source(client: httpx.AsyncClient) -> None:
    shown = await items(client)
    assert shown["Mira Quelle"]["source"] == "given"
    assert shown["Mira Johanna Quelle"] == {
        "id": shown["Mira Johanna Quelle"]["id"],
        "kind": "alias",
        "text": "Mira Johanna Quelle",
        "source": "derived",
        "enabled": True,
        "is_unmistakable": True,
    }
    assert set(await items(client, kind="claim")) == {
        "Mira Johanna Quelle (born 1951) is a writer.",
        "She kept geese in the village of Ven.",
    }
    assert set(await items(client, kind="alias", source="given")) == {"M. Q."}


async def test_a_change_is_acknowledged_after_this_process_has_caught_up_and_has_its_own_revision(
    bench: AdminBench, client: httpx.AsyncClient
) -> None:
    derived = (await items(client))["Mira Johanna Quelle"]["id"]
    answer = await patch(client, disable=[derived], add=[{"kind": "claim", "text": "She sings."}])
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert (shown["object"], shown["memory"]) == ("forget.memory", "building")
    assert {item["text"]: item["enabled"] for item in shown["items"]} == {
        "Mira Johanna Quelle": False,
        "She sings.": True,
    }
    assert bench.seen_seqs[-1] == shown["revision"]
    assert answer.headers["etag"] == f'"{shown["revision"]}"'
    assert bench.documents == ["mira", "mira"]
    (record,) = (await client.get("/v1/audit", params={"kind": "entry.memory"})).json()["data"]
    assert record["subject"] == "mira"
    assert "sings" not in str(record)


async def test_what_was_switched_off_can_be_switched_on_and_what_was_added_removed(client: httpx.AsyncClient) -> None:
    before = await items(client)
    derived = before["Mira Johanna Quelle"]["id"]
    (added,) = (await patch(client, add=[{"kind": "alias", "text": "Goose Lady"}])).json()["items"]
    assert (added["source"], added["is_unmistakable"]) == ("given", True)
    await patch(client, disable=[derived, added["id"]])
    assert {text for text, item in (await items(client)).items() if not item["enabled"]} == {
        "Mira Johanna Quelle",
        "Goose Lady",
    }
    await patch(client, enable=[derived], remove=[added["id"]])
    assert await items(client) == before


async def test_a_derived_alias_can_be_made_unmistakable(client: httpx.AsyncClient) -> None:
    assert not (await items(client))["Quelle"]["is_unmistakable"]
    await patch(client, add=[{"kind": "alias", "text": "Quelle"}])
    assert (await items(client))["Quelle"]["is_unmistakable"]


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({}, 400, "Nothing to change"),
        ({"disable": ["alias-0000000000000000"]}, 404, "not there"),
        ({"enable": [""]}, 404, "not there"),
        ({"remove": ["alias-0000000000000000"]}, 400, "added"),
        ({"add": [{"kind": "fact", "text": "born in Ven"}]}, 400, "cannot be added"),
        ({"add": [{"kind": "alias", "text": "M. Q."}]}, 400, "field of the entry"),
        ({"add": [{"kind": "alias", "text": "?"}]}, 400, "letter or digit"),
        ({"add": [{"kind": "alias"}]}, 400, "add.0.text"),
        ({"drop": ["x"]}, 400, "Known: disable, enable, add, remove"),
        ({"add": "x"}, 400, "add"),
    ],
)
async def test_wrong_changes_say_what_is_wrong_and_change_nothing(
    bench: AdminBench, client: httpx.AsyncClient, change: dict[str, Any], status: int, says: str
) -> None:
    before = bench.registry.seq()
    answer = await patch(client, **change)
    assert answer.status_code == status, answer.text
    assert says in answer.json()["error"]["message"]
    assert bench.registry.seq() == before


async def test_given_items_are_changed_where_they_were_given(client: httpx.AsyncClient) -> None:
    given = (await items(client))["M. Q."]["id"]
    answer = await patch(client, disable=[given])
    assert answer.status_code == 400
    assert "PATCH the entry" in answer.json()["error"]["message"]


async def test_a_change_may_ask_for_the_revision_that_it_was_made_from(client: httpx.AsyncClient) -> None:
    tag = (await client.get(URL)).headers["etag"]
    added = {"add": [{"kind": "exemplar", "text": "Who kept geese?"}]}
    assert (await client.patch(URL, json=added, headers={"if-match": tag})).status_code == 200
    answer = await client.patch(
        URL, json={"add": [{"kind": "exemplar", "text": "Who sang?"}]}, headers={"if-match": tag}
    )
    assert answer.status_code == 409


async def test_only_admin_keys_see_it(tmp_path: Path) -> None:
    bench = AdminBench.open(tmp_path / "guarded", auth={"required": True})
    user = bench.registry.keys.create(tenant="acme", is_admin=False).secret
    async with bench.client(user) as client:
        assert (await client.get(URL)).status_code == 403
        assert (await client.patch(URL, json={})).status_code == 403
    bench.registry.close()


async def test_the_openapi_document_describes_the_change(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert set(document["paths"]["/v1/forget/entries/{entry_id}/memory"]) == {"get", "patch"}
    assert {"disable", "enable", "add", "remove"} == set(
        document["components"]["schemas"]["MemoryChange"]["properties"]
    )
    assert "ForgetEntry" in document["components"]["schemas"]
