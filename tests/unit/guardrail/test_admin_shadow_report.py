"""The shadow report: decisions of the audit log summed up entry by entry, without a word of text."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from retrieval.audit_log import AuditRecord
from retrieval.stores import audit_chain
from retrieval.stores.audit_chain import PreparedRecord, prepare
from tests.fakes.admin_services import AdminBench

URL = "/v1/forget/shadow-report"


def decision(
    *shadow: tuple[str, float, bool], tenant: str = "acme", model: str = "m1", at: str = "2999-01-01T00:00:00.000000Z"
) -> PreparedRecord:
    told = [{"id": entry_id, "score": score, "would_change": change} for entry_id, score, change in shadow]
    data = {"tenant": tenant, "model": model, "action": "pass", "shadow": told}
    return prepare(AuditRecord(kind="decision", actor=f"tenant:{tenant}", subject="r", data=data), at=at)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[AdminBench]:
    bench = AdminBench.open(tmp_path / "data")
    async with bench.client() as client:
        for entry in (
            {"id": "mira", "name": "Mira Quelle", "shadow": True},
            {"id": "odo", "name": "Odo Brask", "shadow": True, "scope": {"tenants": ["beta"]}},
            {"id": "live", "name": "Tara Quist"},
        ):
            assert (await client.post("/v1/forget/entries", json=entry)).status_code == 201
    yield bench
    bench.registry.close()


async def report(bench: AdminBench, **query: Any) -> dict[str, Any]:
    async with bench.client() as client:
        answer = await client.get(URL, params=query)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def of(shown: dict[str, Any], entry_id: str) -> dict[str, Any]:
    return next(entry for entry in shown["entries"] if entry["id"] == entry_id)


async def test_each_entry_tells_how_often_it_was_met_and_what_would_have_changed(bench: AdminBench) -> None:
    bench.registry.audit.append(
        [
            decision(("mira", 1.0, True)),
            decision(("mira", 0.73, True), tenant="beta", model="m2"),
            decision(("mira", 0.74, False)),
            decision(),
        ]
    )
    shown = await report(bench)
    assert (shown["decisions"], shown["is_complete"]) == (4, True)
    mira = of(shown, "mira")
    assert (mira["requests"], mira["met"], mira["would_change"], mira["share"]) == (4, 3, 2, 0.5)
    assert mira["scores"] == [0, 0, 0, 0, 0, 0, 0, 2, 0, 1]
    assert mira["by_tenant"] == {"acme": 1, "beta": 1}
    assert mira["by_model"] == {"m1": 1, "m2": 1}


async def test_an_entry_in_shadow_that_nothing_met_is_told_with_the_requests_in_its_scope(bench: AdminBench) -> None:
    bench.registry.audit.append([decision(), decision(tenant="beta")])
    shown = await report(bench)
    assert {entry["id"] for entry in shown["entries"]} == {"mira", "odo"}
    assert (of(shown, "odo")["requests"], of(shown, "odo")["share"]) == (1, 0.0)


async def test_decisions_before_the_entry_was_registered_are_none_that_it_saw(bench: AdminBench) -> None:
    bench.registry.audit.append([decision(at="2001-01-01T00:00:00.000000Z"), decision(("mira", 1.0, True))])
    assert of(await report(bench), "mira")["requests"] == 1


async def test_since_and_limit_keep_the_newest_and_say_that_there_are_more(bench: AdminBench) -> None:
    records = [decision(("mira", 1.0, True), at=f"2999-01-0{day}T00:00:00.000000Z") for day in (1, 2, 3)]
    bench.registry.audit.append(records)
    shown = await report(bench, limit=2)
    assert (shown["decisions"], shown["is_complete"], shown["since"]) == (2, False, "2999-01-02T00:00:00.000000Z")
    shown = await report(bench, since="2999-01-03T01:00:00+01:00")
    assert (shown["decisions"], shown["is_complete"]) == (1, True)
    async with bench.client() as client:
        assert (await client.get(URL, params={"since": "yesterday"})).status_code == 400


async def test_many_decisions_are_read_batch_by_batch(bench: AdminBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_chain, "_READ_ROWS", 3)
    bench.registry.audit.append([decision(("mira", 1.0, True)) for _ in range(10)])
    assert of(await report(bench), "mira")["met"] == 10
    assert (await report(bench, limit=7))["decisions"] == 7


async def test_where_only_matches_are_kept_a_share_was_not_measured(tmp_path: Path) -> None:
    bench = AdminBench.open(tmp_path / "matched", audit={"decisions": "matched"})
    async with bench.client() as client:
        await client.post("/v1/forget/entries", json={"id": "mira", "name": "Mira Quelle", "shadow": True})
    bench.registry.audit.append([decision(("mira", 1.0, True))])
    mira = of(await report(bench), "mira")
    assert (mira["requests"], mira["share"], mira["would_change"]) == (None, None, 1)
    bench.registry.close()


async def test_only_admin_keys_see_it(tmp_path: Path) -> None:
    bench = AdminBench.open(tmp_path / "guarded", auth={"required": True})
    user = bench.registry.keys.create(tenant="acme", is_admin=False).secret
    async with bench.client(user) as client:
        assert (await client.get(URL)).status_code == 403
    bench.registry.close()


async def test_the_openapi_document_names_it(bench: AdminBench) -> None:
    async with bench.client() as client:
        assert URL in (await client.get("/openapi.json")).json()["paths"]
