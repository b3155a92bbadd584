"""The journal writes ids, scores and counts, never text unless the operator opted in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from guardrail.decision import (
    Action,
    Caller,
    Decision,
    Detection,
    Evidence,
    EvidenceKind,
    Leak,
    OnLeak,
    Passage,
    Role,
)
from guardrail.journal import Journal, Subject
from guardrail.metrics import Metrics
from guardrail.settings import AuditSettings
from retrieval.audit_log import AuditWriter
from retrieval.entry import ForgetEntry, RegisteredEntry
from retrieval.registry import Registry

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ENTRY = RegisteredEntry(id="mira", revision=7, entry=ForgetEntry(name="Mira Quelle"), created_at=NOW, updated_at=NOW)
EVIDENCE = Evidence(detector="lexical", kind=EvidenceKind.NAME, score=1.0, passage=0, start=7, end=18)
FOUND = Detection(entry=ENTRY, score=0.98765, evidence=(EVIDENCE,))
MET = Decision(action=Action.TREAT, treatment="ignorance", detections=(FOUND,), reason="matched")
PASSED = Decision(action=Action.PASS)
PROMPT = [Passage(path=("messages", 0, "content"), role=Role.USER, text="Who is Mira Quelle?")]
SUBJECT = Subject(request_id="req_1", endpoint="chat_completions", model="m", caller=Caller(key_id="k1"))

Made = Callable[..., tuple[Journal, Callable[[], list[dict[str, Any]]], Metrics]]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Made]:
    registry = Registry.open(tmp_path)
    writer = AuditWriter(registry.audit)
    metrics = Metrics(treatments=["ignorance"], backends=[])

    def made(**settings: Any) -> tuple[Journal, Callable[[], list[dict[str, Any]]], Metrics]:
        def records() -> list[dict[str, Any]]:
            assert writer.flush()
            return [
                dict(vars(record) if hasattr(record, "__dict__") else _fields(record))
                for record in registry.audit.page().items
            ]

        return Journal(AuditSettings(**settings), writer, metrics), records, metrics

    yield made
    writer.close()
    registry.close()


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in ("kind", "actor", "subject", "data")}


def test_a_decision_is_written_down_without_text(make: Made) -> None:
    journal, records, metrics = make()
    journal.decided(SUBJECT, MET, shape="pure", took_ms=1.23456, passages=PROMPT)
    (record,) = records()
    assert (record["kind"], record["actor"], record["subject"]) == ("decision", "key:k1", "req_1")
    assert record["data"]["entries"] == [{"id": "mira", "revision": 7, "score": 0.9877, "by": ["lexical:name"]}]
    assert (record["data"]["action"], record["data"]["shape"], record["data"]["ms"]) == ("treat", "pure", 1.235)
    assert "Mira" not in str(record)
    assert b'expunge_decisions_total{action="treat",treatment="ignorance"} 1.0' in metrics.text()


def test_the_prompt_is_kept_only_where_the_operator_opted_in(make: Made) -> None:
    journal, records, _ = make(include_prompts=True)
    journal.decided(SUBJECT, MET, shape="pure", took_ms=1, passages=PROMPT)
    assert records()[0]["data"]["prompt"] == [{"role": "user", "text": "Who is Mira Quelle?"}]


def test_decisions_that_met_nothing_may_be_left_out(make: Made) -> None:
    journal, records, metrics = make(decisions="matched")
    journal.decided(SUBJECT, PASSED, shape="", took_ms=1, passages=PROMPT)
    for met in (
        MET,
        Decision(action=Action.PASS, supplied=(FOUND,)),
        Decision(action=Action.PASS, shadow=(FOUND,)),
        Decision(action=Action.FAIL_CLOSED, reason="detector_failed:semantic"),
    ):
        journal.decided(SUBJECT, met, shape="", took_ms=1, passages=PROMPT)
    assert len(records()) == 4
    assert b'expunge_decisions_total{action="pass",treatment="none"} 3.0' in metrics.text(), "counted all the same"


def test_what_an_entry_in_shadow_would_have_changed_is_written_down_with_the_tenant(make: Made) -> None:
    journal, records, _ = make()
    journal.decided(SUBJECT, Decision(action=Action.PASS, shadow=(FOUND,)), shape="", took_ms=1, passages=PROMPT)
    (record,) = records()
    assert record["data"]["tenant"] == SUBJECT.caller.tenant
    assert [(one["id"], one["would_change"]) for one in record["data"]["shadow"]] == [("mira", True)]


def test_a_leak_is_written_down_under_its_entry(make: Made) -> None:
    journal, records, metrics = make()
    nobody = Subject(request_id="req_1", endpoint="responses", model=None, caller=Caller(tenant="acme"))
    journal.leaked(nobody, Leak(entry=ENTRY, kind=EvidenceKind.FACT, start=3, end=9), OnLeak.STOP)
    (record,) = records()
    assert (record["kind"], record["actor"], record["subject"]) == ("leak", "tenant:acme", "mira")
    assert record["data"]["request"] == "req_1"
    assert b'expunge_leaks_total{kind="fact",on_leak="stop"} 1.0' in metrics.text()


def test_who_wrote_an_answer_and_which_detector_failed_are_counted(make: Made) -> None:
    journal, _, metrics = make()
    journal.answered(by_model=True)
    journal.answered(by_model=False)
    journal.detector_failed("semantic", "fail_open")
    text = metrics.text()
    assert b'author="model"} 1.0' in text
    assert b'author="expunge"} 1.0' in text
    assert b'detector="semantic",mode="fail_open"} 1.0' in text
