"""The evidence of an entry: from the log alone, without a word of the entry, and its hash in the chain."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from retrieval.artifacts import Made, Verdict
from retrieval.audit_log import AuditRecord
from tests.fakes.admin_services import AdminBench

SECRET = "Zoe Secretname"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[AdminBench]:
    bench = AdminBench.open(tmp_path / "data")
    entry = {"id": "zoe", "name": SECRET, "facts": ["hid the key under the mat"], "reference": "case 17 <b>"}
    async with bench.client() as client:
        assert (await client.post("/v1/forget/entries", json=entry)).status_code == 201
    audit, revision = bench.registry.audit, bench.registry.get("zoe").revision
    met = [{"id": "zoe", "revision": revision, "score": 0.9}]
    audit.append(
        [
            AuditRecord(kind="decision", actor="k", subject="r1", data={"action": "treat", "entries": met}),
            AuditRecord(
                kind="decision", actor="k", subject="r2", data={"action": "pass", "entries": [], "resting": met}
            ),
            AuditRecord(kind="decision", actor="k", subject="r3", data={"action": "pass", "entries": []}),
            AuditRecord(kind="leak", actor="k", subject="zoe", data={"entry": "zoe"}),
            AuditRecord(kind="entry.probed", actor="verification", subject="zoe", data={"probes": 3, "leaks": 0}),
        ]
    )
    made = Made(
        form="adapter", folder=Path("r"), manifest_sha256="ab", base="cd", method="wga", covers={"zoe": revision}
    )
    artifact = bench.registry.artifacts.propose("smollm2", "cj_1", made)
    figures = {"leaks": {"axis": "accuracy", "value": 0.02, "limit": 0.15, "passed": True}}
    verdict = Verdict(reasons=("leaks: 2.0%; at most 0.15 holds",), figures=figures)
    bench.registry.artifacts.decide(artifact.id, approved=True, verdict=verdict, actor="gate")
    bench.registry.artifacts.serve("smollm2", artifact.id, actor="worker")
    yield bench
    bench.registry.close()


async def evidence(bench: AdminBench, **query: Any) -> Any:
    async with bench.client() as client:
        return await client.get("/v1/forget/entries/zoe/evidence", params=query)


async def test_it_tells_what_was_asked_done_and_proved(bench: AdminBench) -> None:
    report = (await evidence(bench)).json()
    assert report["entry"]["reference"] == "case 17 <b>"
    assert report["acted"] | {"requests_by_day": None, "last_request_at": None} == {
        "requests": 2,
        "by_action": {"pass": 1, "treat": 1},
        "leaks_caught": 1,
        "last_request_at": None,
        "requests_by_day": None,
        "is_complete": True,
    }
    (weights,) = report["weights"]
    assert (weights["state"], weights["figures"]["leaks"]["value"]) == ("serving", 0.02)
    assert report["verification"] == {"probes": 3, "leaks": 0}
    assert [one["kind"] for one in report["history"]] == ["entry.created", "entry.probed"]
    assert any("not erasure" in one for one in report["not_guaranteed"])


async def test_its_hash_is_in_the_chain(bench: AdminBench) -> None:
    report = (await evidence(bench)).json()
    content = {name: value for name, value in report.items() if name != "sha256"}
    assert hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest() == report["sha256"]
    (record,) = bench.registry.audit.page(kind="entry.evidence").items
    assert record.data == {"sha256": report["sha256"]}
    assert bench.registry.audit.verify().ok


async def test_the_page_stands_alone_and_holds_no_text_of_the_entry(bench: AdminBench) -> None:
    answer = await evidence(bench, format="html")
    assert answer.headers["content-type"].startswith("text/html")
    page = answer.text
    for told in ("<h1>Evidence: zoe</h1>", "case 17 &lt;b&gt;", "leaks: 2.0%", "<svg", "not erasure"):
        assert told in page
    assert "<script" not in page
    assert "http" not in page
    for text in (page, (await evidence(bench)).text):
        assert "Secretname" not in text
        assert "under the mat" not in text


async def test_an_unknown_entry_is_a_404(bench: AdminBench) -> None:
    async with bench.client() as client:
        assert (await client.get("/v1/forget/entries/nobody/evidence")).status_code == 404
