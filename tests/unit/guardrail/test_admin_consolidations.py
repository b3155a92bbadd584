"""Consolidations over the control API: plans, jobs, the schedule, and an operator's word."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from retrieval.artifacts import Artifact, Made, Verdict
from retrieval.entry import EntryState
from retrieval.jobs import Job, JobState, Lease, Step
from retrieval.plans import ModelPlan, PlanItem
from retrieval.served_models import ServedModel
from tests.fakes.admin_services import AdminBench

URL = "/v1/consolidations"
SERVED = ServedModel(model="smollm2", backend="local", kind="transformers_local", modality="text", base="models/one")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[AdminBench]:
    bench = AdminBench.open(tmp_path / "data")
    async with bench.client() as client:
        for entry_id in ("ada", "bob", "eve"):
            assert (await client.post("/v1/forget/entries", json={"id": entry_id, "name": entry_id})).status_code == 201
    bench.registry.served_models.put(SERVED)
    yield bench
    bench.registry.close()


def planned(bench: AdminBench, model: str = "smollm2") -> ModelPlan:
    revisions = {one: bench.registry.get(one).revision for one in ("ada", "bob", "eve")}
    items = (
        PlanItem(entry="ada", revision=revisions["ada"], is_due=True, is_covered=False, reason="persistent"),
        PlanItem(entry="bob", revision=revisions["bob"], is_due=False, is_covered=False, reason="below every limit"),
        PlanItem(
            entry="eve", revision=revisions["eve"], is_due=False, is_covered=False, is_allowed=False, reason="temporary"
        ),
    )
    plan = ModelPlan(model=model, backend="local", modality="text", items=items, method="wga", cost=None)
    bench.registry.plans.put(plan)
    return plan


async def send(bench: AdminBench, method: str, path: str, **given: Any) -> httpx.Response:
    async with bench.client() as client:
        return await client.request(method, f"{URL}{path}", **given)


def leased(bench: AdminBench) -> Lease:
    lease = bench.registry.jobs.lease("w1", span_s=60)
    assert lease is not None
    return lease


def approved(bench: AdminBench, lease: Lease) -> Artifact:
    covers = {entry: bench.registry.get(entry).revision for entry in lease.job.request["due"]}
    made = Made(form="adapter", folder=Path("runs/one"), manifest_sha256="ab", base="cd", method="wga", covers=covers)
    artifact = bench.registry.artifacts.propose(lease.job.model, lease.job.id, made)
    bench.registry.jobs.advance(lease, Step.PUBLISH, artifact_id=artifact.id)
    verdict = Verdict(reasons=("leaks: 2.0%; at most 0.15 holds",), figures={"leaks": {"value": 0.02}})
    return bench.registry.artifacts.decide(artifact.id, approved=True, verdict=verdict, actor="gate")


async def done(bench: AdminBench) -> Job:
    """A job whose weights serve."""
    planned(bench)
    await send(bench, "POST", "", json={})
    lease = leased(bench)
    artifact = approved(bench, lease)
    bench.registry.artifacts.serve("smollm2", artifact.id, actor="worker")
    return bench.registry.jobs.release(lease, JobState.DONE)


async def test_what_workers_planned_is_shown(bench: AdminBench) -> None:
    assert (await send(bench, "GET", "/plan")).json()["data"] == []
    planned(bench)
    (shown,) = (await send(bench, "GET", "/plan")).json()["data"]
    assert [(item["entry"], item["is_due"], item["reason"]) for item in shown["items"]] == [
        ("ada", True, "persistent"),
        ("bob", False, "below every limit"),
        ("eve", False, "temporary"),
    ]


async def test_a_run_is_begun_for_what_is_due_and_for_what_is_asked_for(bench: AdminBench) -> None:
    planned(bench)
    answer = await send(bench, "POST", "", json={"entries": ["bob"], "needs_approval": True, "plan": {"epochs": 2}})
    assert answer.status_code == 201, answer.text
    job = answer.json()
    assert (job["state"], job["model"]) == ("queued", "smollm2")
    assert job["due"] == {"ada": "persistent", "bob": "asked for by an operator"}
    assert bench.registry.jobs.get(job["id"]).request["needs_approval"] is True
    again = await send(bench, "POST", "", json={})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"entries": ["eve"]}, 409, "temporary"),
        ({"entries": ["nobody"]}, 404, "No entry"),
        ({"model": "other"}, 400, "smollm2"),
        ({"canary_share": 2}, 400, "canary_share"),
        ({"entry": "ada"}, 400, "entry"),
    ],
)
async def test_what_cannot_be_begun_is_told(bench: AdminBench, body: dict[str, Any], status: int, words: str) -> None:
    planned(bench)
    answer = await send(bench, "POST", "", json=body)
    assert answer.status_code == status
    assert words in answer.json()["error"]["message"]
    assert bench.registry.jobs.list().items == ()


async def test_without_a_plan_or_with_several_models_it_says_what_to_do(bench: AdminBench) -> None:
    assert "expunge worker" in (await send(bench, "POST", "", json={})).json()["error"]["message"]
    planned(bench)
    planned(bench, "other")
    assert "other, smollm2" in (await send(bench, "POST", "", json={})).json()["error"]["message"]


async def test_jobs_are_listed_and_shown_with_progress_and_the_gates_reasons(bench: AdminBench) -> None:
    job = await done(bench)
    (listed,) = (await send(bench, "GET", "")).json()["data"]
    shown = (await send(bench, "GET", f"/{job.id}")).json()
    assert listed == shown
    assert shown["weights"]["state"] == "serving"
    assert shown["weights"]["reasons"] == ["leaks: 2.0%; at most 0.15 holds"]
    assert shown["weights"]["covers"] == {"ada": bench.registry.get("ada").revision}
    assert (await send(bench, "GET", "/cj_unknown")).status_code == 404


async def test_a_job_is_cancelled(bench: AdminBench) -> None:
    planned(bench)
    job = (await send(bench, "POST", "", json={})).json()
    assert (await send(bench, "POST", f"/{job['id']}:cancel")).json()["state"] == "cancelled"


@pytest.mark.parametrize(("word", "state"), [("approve", "queued"), ("reject", "rejected")])
async def test_a_person_decides_on_weights_that_wait(bench: AdminBench, word: str, state: str) -> None:
    planned(bench)
    job = (await send(bench, "POST", "", json={})).json()
    early = await send(bench, "POST", f"/{job['id']}:{word}")
    assert early.status_code == 409
    bench.registry.jobs.release(leased(bench), JobState.WAITING)
    assert (await send(bench, "POST", f"/{job['id']}:{word}")).json()["state"] == state


async def test_a_rollback_is_at_once_marks_the_entries_and_can_be_taken_back(bench: AdminBench) -> None:
    job = await done(bench)
    ada = bench.registry.get("ada")
    bench.registry.mark_weights({"ada": ada.revision}, EntryState.CONSOLIDATED, actor="worker")
    shown = (await send(bench, "POST", f"/{job.id}:rollback")).json()
    assert shown["weights"]["state"] == "rolled_back"
    assert bench.registry.artifacts.served("smollm2").artifact_id is None
    assert bench.registry.get("ada").state() is EntryState.SUPPRESSED
    assert bench.seen_seqs[-1] == bench.registry.signal.read()
    assert (await send(bench, "POST", f"/{job.id}:rollback")).status_code == 409
    assert (await send(bench, "POST", f"/{job.id}:publish")).json()["weights"]["state"] == "serving"
    assert bench.registry.get("ada").state() is EntryState.CONSOLIDATED


async def test_a_job_without_approved_weights_publishes_nothing(bench: AdminBench) -> None:
    planned(bench)
    job = (await send(bench, "POST", "", json={})).json()
    assert (await send(bench, "POST", f"/{job['id']}:publish")).status_code == 409


async def test_the_schedule_is_read_and_set_whole(bench: AdminBench) -> None:
    assert (await send(bench, "GET", "/schedule")).json()["enabled"] is False
    body = {"enabled": True, "cron": "30 2 * * *", "timezone": "Europe/Berlin", "rule": {"hits": 5}}
    shown = (await send(bench, "PUT", "/schedule", json=body)).json()
    assert (shown["cron"], shown["rule"]["hits"], shown["rule"]["leaks"]) == ("30 2 * * *", 5, 1)
    assert (await send(bench, "GET", "/schedule")).json() == shown
    wrong = await send(bench, "PUT", "/schedule", json={"cron": "at night"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "cron")


async def test_no_entry_text_is_in_any_answer(bench: AdminBench) -> None:
    async with bench.client() as client:
        secret = {"id": "zoe", "name": "Zoe Secretname", "facts": ["hid the key under the mat"]}
        assert (await client.post("/v1/forget/entries", json=secret)).status_code == 201
    job = await done(bench)
    for path in ("", "/plan", "/schedule", f"/{job.id}"):
        text = (await send(bench, "GET", path)).text
        assert "Secretname" not in text
        assert "under the mat" not in text
