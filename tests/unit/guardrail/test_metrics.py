"""Metrics count with closed label sets, in one process and summed over several."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from guardrail.decision import Action, EvidenceKind, OnLeak
from guardrail.metrics import MULTIPROCESS_ENV, Metrics, prepare_multiprocess, worker_ended


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(treatments=["ignorance", "refusal"], backends=["local"])


def _lines(metrics: Metrics) -> list[str]:
    return metrics.text().decode().splitlines()


def test_every_event_shows_in_the_text_with_its_labels(metrics: Metrics) -> None:
    metrics.request("chat_completions", 200, 0.02)
    metrics.request("chat_completions", 200, 0.02)
    metrics.decision(Action.TREAT, "ignorance")
    metrics.decision(Action.PASS, None)
    metrics.leak(OnLeak.REWRITE, EvidenceKind.FACT)
    metrics.treated_answer("expunge")
    metrics.detector("lexical", 0.0002)
    metrics.detector_failure("semantic", "fail_closed")
    metrics.first_tier("settled", 3)
    metrics.backend_error("local", "timeout")
    metrics.refused_caller("rate_limited")
    metrics.client_disconnect("responses")
    metrics.audit_dropped(7)
    metrics.request_started()
    metrics.entries_enforced(12, seq=40)
    metrics.registered(0.004)
    metrics.held(9)
    lines = _lines(metrics)
    for line in (
        'expunge_requests_total{endpoint="chat_completions",status="200"} 2.0',
        'expunge_request_seconds_count{endpoint="chat_completions"} 2.0',
        'expunge_decisions_total{action="treat",treatment="ignorance"} 1.0',
        'expunge_decisions_total{action="pass",treatment="none"} 1.0',
        'expunge_leaks_total{kind="fact",on_leak="rewrite"} 1.0',
        'expunge_treated_answers_total{author="expunge"} 1.0',
        'expunge_detector_seconds_count{tier="lexical"} 1.0',
        'expunge_detector_failures_total{detector="semantic",mode="fail_closed"} 1.0',
        'expunge_first_tier_total{outcome="settled"} 3.0',
        'expunge_backend_errors_total{backend="local",kind="timeout"} 1.0',
        'expunge_refused_callers_total{reason="rate_limited"} 1.0',
        'expunge_client_disconnects_total{endpoint="responses"} 1.0',
        "expunge_audit_dropped_total 7.0",
        "expunge_requests_in_flight 1.0",
        "expunge_entries_enforced 12.0",
        "expunge_registry_seq 40.0",
        "expunge_register_seconds_count 1.0",
        'expunge_held_chars_bucket{le="16.0"} 1.0',
    ):
        assert line in lines


def test_a_label_value_that_is_not_configured_is_counted_as_other(metrics: Metrics) -> None:
    metrics.decision(Action.TREAT, "Jane Q. Secret")
    metrics.backend_error("tenant-supplied", "timeout")
    metrics.request("/v1/whatever/Jane", 999, 0.1)
    text = metrics.text().decode()
    assert "Jane" not in text
    assert "tenant-supplied" not in text
    assert 'expunge_decisions_total{action="treat",treatment="other"} 1.0' in text
    assert 'expunge_requests_total{endpoint="other",status="other"} 1.0' in text


def test_two_metrics_in_one_process_do_not_share_counts(metrics: Metrics) -> None:
    Metrics().treated_answer("model")
    assert not [line for line in _lines(metrics) if line.startswith("expunge_treated_answers_total")]


_WORKER = """
from guardrail.metrics import Metrics
metrics = Metrics(treatments=["ignorance"])
metrics.treated_answer("model")
metrics.entries_enforced(5, seq=9)
metrics.request_started()
print(metrics.text().decode())
"""


def _worker(folder: Path) -> tuple[int, str]:
    environment = {**os.environ, MULTIPROCESS_ENV: str(folder)}
    process = subprocess.Popen([sys.executable, "-c", _WORKER], env=environment, stdout=subprocess.PIPE, text=True)
    output, _ = process.communicate()
    assert process.returncode == 0
    return process.pid, output


def test_workers_count_into_one_sum_and_an_ended_worker_leaves_only_its_counters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MULTIPROCESS_ENV, "")  # restored after the test
    folder = tmp_path / "metrics"
    folder.mkdir()
    (folder / "counter_1.db").write_bytes(b"from an earlier run")
    prepare_multiprocess(folder)
    assert not list(folder.iterdir())
    first, _ = _worker(folder)
    _, output = _worker(folder)
    assert 'expunge_treated_answers_total{author="model"} 2.0' in output
    assert "expunge_requests_in_flight 2.0" in output
    assert "expunge_entries_enforced 5.0" in output
    worker_ended(first)
    _, output = _worker(folder)
    assert 'expunge_treated_answers_total{author="model"} 3.0' in output
    assert "expunge_requests_in_flight 2.0" in output
