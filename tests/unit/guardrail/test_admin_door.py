"""The admin listener's door, dry run, audit log, health and errors."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardrail.errors import ApiError
from retrieval.errors import StoreUnavailable
from tests.fakes.admin_services import AdminBench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[AdminBench]:
    bench = AdminBench.open(tmp_path / "data")
    yield bench
    bench.registry.close()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[AdminBench]:
    bench = AdminBench.open(tmp_path / "guarded", auth={"required": True})
    yield bench
    bench.registry.close()


async def test_only_admin_keys_come_in(guarded: AdminBench) -> None:
    user = guarded.registry.keys.create(tenant="acme", is_admin=False).secret
    admin = guarded.registry.keys.create(tenant="acme", is_admin=True)
    for key, status in ((None, 401), ("xk-no-key", 401), (user, 403), (admin.secret, 200)):
        async with guarded.client(key) as client:
            answer = await client.get("/v1/forget/entries")
        assert answer.status_code == status
        if status != 200:
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        assert ("www-authenticate" in answer.headers) == (status == 401)
    async with guarded.client(admin.secret) as client:
        await client.post("/v1/forget/entries", json={"id": "ada", "name": "Ada"})
        page = (await client.get("/v1/audit", params={"subject": "ada"})).json()
    assert page["data"][0]["actor"] == admin.record.key_id


async def test_probes_need_no_key_and_learn_no_details(guarded: AdminBench) -> None:
    admin = guarded.registry.keys.create(tenant="acme", is_admin=True).secret
    async with guarded.client() as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        assert (await client.get("/readyz")).json() == {"ready": True}
        assert (await client.get("/metrics")).status_code == 401
    async with guarded.client(admin) as client:
        assert (await client.get("/readyz")).json()["backends"] == {"local": {"ok": True}}
        guarded.ready = False
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (503, False)


async def test_metrics_are_prometheus_text(bench: AdminBench) -> None:
    async with bench.client() as client:
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.text == "expunge_requests_total 1.0\n"


async def test_a_dry_run_asks_as_the_caller_or_as_the_tenant_that_is_named(bench: AdminBench) -> None:
    async with bench.client() as client:
        answer = await client.post("/v1/forget/match", json={"messages": [], "model": "m"})
        assert answer.json()["decision"] == {"action": "pass"}
        assert answer.json()["ms"] >= 0
        await client.post("/v1/forget/match", json={"prompt": "x"}, params={"tenant": "acme"})
        wrong = await client.post("/v1/forget/match", json={"model": "m"})
    assert [caller.tenant for _, caller in bench.asked] == ["default", "acme"]
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "messages")


async def test_the_audit_log_pages_filters_and_verifies(bench: AdminBench) -> None:
    async with bench.client() as client:
        for name in ("a", "b", "c"):
            await client.post("/v1/forget/entries", json={"id": name, "name": f"Secret {name}"})
        await client.delete("/v1/forget/entries/b")
        first = (await client.get("/v1/audit", params={"limit": 3})).json()
        rest = (await client.get("/v1/audit", params={"cursor": first["next_cursor"]})).json()
        revoked = (await client.get("/v1/audit", params={"kind": "entry.revoked"})).json()
        report = (await client.get("/v1/audit/verify")).json()
    assert [item["subject"] for item in first["data"] + rest["data"]] == ["a", "b", "c", "b"]
    assert [item["subject"] for item in revoked["data"]] == ["b"]
    assert "Secret" not in str(first)
    assert (report["ok"], report["records"]) == (True, 4)
    assert report["head_hash"] == rest["data"][-1]["hash"]


async def test_unknown_routes_and_methods_get_the_same_error_body(bench: AdminBench) -> None:
    async with bench.client() as client:
        missing = await client.get("/v1/forget/nothing")
        method = await client.put("/v1/forget/entries")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
    assert method.status_code == 405
    assert set(method.json()["error"]) == {"message", "type", "param", "code"}
    assert method.headers["allow"]


async def test_an_error_of_the_proxy_or_of_the_store_keeps_its_status(bench: AdminBench) -> None:
    async with bench.client() as client:
        bench.failure = ApiError("too slow", status=503, type="server_error", code="overloaded", retry_after_s=2.5)
        slow = await client.post("/v1/forget/match", json={"prompt": "x"})
        bench.failure = StoreUnavailable("The registry's database is busy; try again.")
        busy = await client.post("/v1/forget/match", json={"prompt": "x"})
    assert (slow.status_code, slow.headers["retry-after"]) == (503, "3")
    assert (busy.status_code, busy.json()["error"]["code"], busy.headers["retry-after"]) == (503, "unavailable", "1")


async def test_an_unforeseen_failure_is_a_500_that_repeats_no_text(
    bench: AdminBench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.failure = KeyError("Ada Secret")
    with caplog.at_level(logging.DEBUG):
        async with bench.client() as client:
            answer = await client.post("/v1/forget/match", json={"prompt": "x"})
    assert answer.status_code == 500
    assert "Ada Secret" not in answer.text
    assert "Ada Secret" not in caplog.text
    assert "KeyError" in caplog.text
