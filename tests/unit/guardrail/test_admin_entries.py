"""Entries over HTTP: created, listed, shown, revised, revoked; wrong input is a 4xx that names field and mend."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from retrieval.entry import ForgetEntry
from tests.fakes.admin_services import AdminBench
from tests.fakes.small_pictures import data_url, painted_file

URL = "/v1/forget/entries"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[AdminBench]:
    bench = AdminBench.open(tmp_path / "data", server={"max_body_bytes": 4096}, retrieval={"embedder": "minilm-int8"})
    yield bench
    bench.registry.close()


@pytest.fixture
async def client(bench: AdminBench) -> AsyncIterator[httpx.AsyncClient]:
    async with bench.client() as client:
        yield client


async def _create(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await client.post(URL, json={"name": "Ada Example", **fields})
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def _error(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    error: dict[str, Any] = body["error"]
    return error


async def test_a_new_entry_is_acknowledged_after_this_process_has_caught_up(
    bench: AdminBench, client: httpx.AsyncClient
) -> None:
    before = datetime.now(UTC)
    shown = await _create(client, id="ada", facts=["born in 1900"])
    assert shown["id"] == "ada"
    assert shown["state"] == "suppressed"
    assert shown["memory"] == "ready"
    assert before <= datetime.fromisoformat(shown["enforced_at"]) <= datetime.now(UTC)
    assert shown["enforced_at"].endswith("Z")
    assert bench.seen_seqs == [shown["revision"]]
    assert len(bench.register_seconds) == 1
    assert [entry.name for entry in bench.embedded] == ["Ada Example"]


async def test_the_same_entry_again_is_200_and_another_body_under_its_id_is_409(client: httpx.AsyncClient) -> None:
    first = await _create(client, id="ada")
    again = await client.post(URL, json={"id": "ada", "name": "Ada Example"})
    assert again.status_code == 200
    assert again.json()["revision"] == first["revision"]
    error = _error(await client.post(URL, json={"id": "ada", "name": "Ada Other"}), 409)
    assert "PATCH" in error["message"]
    assert "Ada" not in error["message"]


async def test_documents_are_built_in_the_background_and_reported(bench: AdminBench, client: httpx.AsyncClient) -> None:
    shown = await _create(client, documents=["A long page."])
    assert shown["memory"] == "building"
    assert bench.documents == [shown["id"]]


async def test_a_scheduled_entry_says_from_when_and_an_expired_one_says_never(client: httpx.AsyncClient) -> None:
    later = await _create(client, effective_at="2999-01-01T00:00:00+02:00")
    assert (later["state"], later["enforced_at"]) == ("scheduled", "2998-12-31T22:00:00Z")
    past = await _create(client, expires_at="2001-01-01T00:00:00Z")
    assert (past["state"], past["enforced_at"]) == ("expired", None)


async def test_an_entry_is_shown_as_given_with_its_record_around_it(client: httpx.AsyncClient) -> None:
    given = {"kind": "person", "aliases": ["A. E."], "documents": ["Page."], "scope": {"tenants": ["acme"]}}
    created = await _create(client, **given)
    answer = await client.get(f"{URL}/{created['id']}")
    shown = answer.json()
    assert answer.headers["etag"] == f'"{created["revision"]}"'
    assert shown["kind"] == "person"
    assert shown["documents"] == ["Page."]
    assert shown["scope"] == {"tenants": ["acme"], "models": ["*"]}
    assert {"id", "revision", "state", "created_at", "updated_at", "memory"} <= set(shown)
    assert _error(await client.get(f"{URL}/nobody"), 404)["code"] == "not_found"


async def test_lists_filter_page_and_only_count_long_fields(client: httpx.AsyncClient) -> None:
    for number in range(3):
        await _create(client, id=f"p{number}", kind="person", documents=["Page."])
    await _create(client, id="w", kind="work")
    first = (await client.get(URL, params={"kind": "person", "limit": 2})).json()
    assert [item["id"] for item in first["data"]] == ["p0", "p1"]
    assert first["has_more"] is True
    assert first["data"][0]["documents_count"] == 1
    assert "documents" not in first["data"][0]
    rest = (await client.get(URL, params={"kind": "person", "limit": 2, "cursor": first["next_cursor"]})).json()
    assert [item["id"] for item in rest["data"]] == ["p2"]
    assert rest["next_cursor"] is None
    await client.delete(f"{URL}/w")
    assert [item["id"] for item in (await client.get(URL, params={"state": "revoked"})).json()["data"]] == ["w"]


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"state": "deleted"}, "state"),
        ({"kind": "dog"}, "kind"),
        ({"limit": "0"}, "limit"),
        ({"cursor": "x"}, "cursor"),
    ],
)
async def test_a_wrong_filter_is_named(client: httpx.AsyncClient, params: dict[str, str], param: str) -> None:
    assert _error(await client.get(URL, params=params), 400)["param"] == param


async def test_a_patch_changes_fields_under_a_new_revision_and_its_text_is_embedded_anew(
    bench: AdminBench, client: httpx.AsyncClient
) -> None:
    created = await _create(client, aliases=["A. E."])
    patched = await client.patch(f"{URL}/{created['id']}", json={"aliases": ["Ada E."], "kind": "person"})
    assert patched.status_code == 200
    assert patched.json()["aliases"] == ["Ada E."]
    assert patched.json()["revision"] > created["revision"]
    assert bench.embedded[-1].aliases == ("Ada E.",)
    assert bench.seen_seqs[-1] == patched.json()["revision"]


async def test_a_patch_on_an_old_revision_is_409_by_header_and_by_query(client: httpx.AsyncClient) -> None:
    created = await _create(client)
    url = f"{URL}/{created['id']}"
    fresh = await client.patch(url, json={"reason": "a"}, headers={"if-match": f'"{created["revision"]}"'})
    assert fresh.status_code == 200
    _error(await client.patch(url, json={"reason": "b"}, headers={"if-match": f'"{created["revision"]}"'}), 409)
    _error(await client.patch(url, json={"reason": "b"}, params={"if_revision": created["revision"]}), 409)
    assert _error(await client.patch(url, json={}, headers={"if-match": "new"}), 400)["param"] == "If-Match"
    assert (await client.get(url)).json()["reason"] == "a"


async def test_patches_at_once_all_land_and_none_is_lost(bench: AdminBench, client: httpx.AsyncClient) -> None:
    created = await _create(client)
    changes = [{"reason": "r"}, {"reference": "t"}]
    answers = await asyncio.gather(*(client.patch(f"{URL}/{created['id']}", json=change) for change in changes))
    assert [answer.status_code for answer in answers] == [200, 200]
    entry = bench.registry.get(created["id"]).entry
    assert (entry.reason, entry.reference) == ("r", "t")


async def test_revoking_keeps_the_record_and_a_revoked_entry_cannot_be_revised(client: httpx.AsyncClient) -> None:
    created = await _create(client)
    url = f"{URL}/{created['id']}"
    revoked = await client.delete(url)
    assert (revoked.status_code, revoked.json()["state"]) == (200, "revoked")
    assert (await client.delete(url)).json()["revision"] == revoked.json()["revision"]
    assert _error(await client.patch(url, json={"reason": "x"}), 409)["code"] == "entry_revoked"
    _error(await client.delete(f"{URL}/nobody"), 404)


@pytest.mark.parametrize(
    ("raw", "code", "says"),
    [
        (b"\xff\xfe{}", "invalid_encoding", "byte 0"),
        (b'{"name": "A",}', "invalid_json", "column"),
        (b"", "invalid_json", "JSON"),
        (b"[]", "invalid_entry", "object"),
        (b'{"name": "' + b"x" * 5000 + b'"}', "body_too_large", "4096"),
    ],
)
async def test_an_unreadable_body_is_refused_and_writes_nothing(
    bench: AdminBench, client: httpx.AsyncClient, raw: bytes, code: str, says: str
) -> None:
    error = _error(await client.post(URL, content=raw), 413 if code == "body_too_large" else 400)
    assert error["code"] == code
    assert says in error["message"]
    assert bench.registry.entry_count() == 0


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"colour": "red"}, "colour", "Known fields"),
        ({"name": "  "}, "name", "at least 1"),
        ({"expires_at": "tomorrow"}, "expires_at", "datetime"),
        ({"effective_at": "2030-01-01T00:00:00"}, "effective_at", "timezone"),
        ({"treatment": "ignorence"}, "treatment", "Did you mean 'ignorance'"),
        ({"treatment": {"method": "ignorance", "strenght": 1}}, "treatment.strenght", "Did you mean 'strength'"),
        ({"images": ["/etc/passwd"]}, "images.0", "expunge forget import"),
        ({"images": ["data:image/png;base64,***"]}, "images.0", "base64"),
    ],
)
async def test_a_wrong_field_is_named_with_its_mend(
    bench: AdminBench, client: httpx.AsyncClient, fields: dict[str, Any], param: str, says: str
) -> None:
    error = _error(await client.post(URL, json={"name": "Ada", **fields}), 400)
    assert error["param"] == param
    assert says in error["message"]
    assert bench.registry.entry_count() == 0


async def test_a_patch_is_checked_like_a_new_entry(client: httpx.AsyncClient) -> None:
    created = await _create(client)
    url = f"{URL}/{created['id']}"
    assert _error(await client.patch(url, json={"treatment": "refusel"}), 400)["param"] == "treatment"
    assert _error(await client.patch(url, json={"images": ["a.png"]}), 400)["param"] == "images.0"
    assert _error(await client.patch(url, json={"name": ""}), 400)["param"] == "name"
    assert _error(await client.patch(url, content=b"[1]"), 400)["code"] == "invalid_json"


async def test_pictures_as_data_urls_are_kept(client: httpx.AsyncClient) -> None:
    picture = data_url(painted_file("red", 1))
    created = await _create(client, images=[picture], modalities=["image"])
    assert created["state"] == "suppressed"
    assert (await client.get(f"{URL}/{created['id']}")).json()["images"] == [picture]


async def test_the_openapi_document_describes_an_entry(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    assert set(schemas["ForgetEntry"]["properties"]) == set(ForgetEntry.model_fields)
    assert "$defs" not in json.dumps(document)
    assert (await client.get("/docs")).status_code == 404
