"""What is written down of a request: audit records and metrics, never text.

Ids, revisions, scores and timing go to the audit log; counts go to the metrics. The prompt's text is kept only where the
operator opted in. Adding to the journal never blocks the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from guardrail.decision import Caller, Decision, Detection, Leak, OnLeak, Passage
from guardrail.metrics import Detector, Metrics
from guardrail.policy import would_change
from guardrail.settings import AuditSettings
from retrieval.audit_log import AuditRecord, AuditWriter
from retrieval.entry import RegisteredEntry


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """Which request a record is about."""

    request_id: str
    endpoint: str
    model: str | None
    caller: Caller

    @property
    def actor(self) -> str:
        return f"key:{self.caller.key_id}" if self.caller.key_id else f"tenant:{self.caller.tenant}"


class Journal:
    """Writes down decisions, leaks and who wrote an answer."""

    def __init__(
        self,
        settings: AuditSettings,
        writer: AuditWriter,
        metrics: Metrics,
        *,
        tripped: Callable[[RegisteredEntry], None] = lambda entry: None,
    ) -> None:
        """`tripped` hears of every entry that was about to leak."""
        self._tripped = tripped
        self._settings = settings
        self._writer = writer
        self._metrics = metrics

    def decided(
        self, subject: Subject, decision: Decision, *, shape: str, took_ms: float, passages: Sequence[Passage]
    ) -> None:
        """A decision was taken."""
        self._metrics.decision(decision.action, decision.treatment)
        met = decision.detections or decision.supplied or decision.shadow or decision.reason
        if self._settings.decisions == "matched" and not met:
            return
        data = {
            "endpoint": subject.endpoint,
            "tenant": subject.caller.tenant,
            "model": subject.model,
            "action": decision.action.value,
            "treatment": decision.treatment,
            "shape": shape,
            "entries": entries_of(decision.detections),
            "supplied": entries_of(decision.supplied),
            "shadow": _shadow_of(decision),
            "resting": entries_of(decision.resting),
            "reason": decision.reason,
            "ms": round(took_ms, 3),
        }
        if self._settings.include_prompts:
            data["prompt"] = [{"role": passage.role.value, "text": passage.text} for passage in passages]
        self._writer.add(AuditRecord(kind="decision", actor=subject.actor, subject=subject.request_id, data=data))

    def leaked(self, subject: Subject, leak: Leak, action: OnLeak) -> None:
        """Forbidden text was about to leave and was caught."""
        self._metrics.leak(action, leak.kind)
        data = {
            "endpoint": subject.endpoint,
            "model": subject.model,
            "entry": leak.entry.id,
            "revision": leak.entry.revision,
            "kind": leak.kind.value,
            "on_leak": action.value,
            "request": subject.request_id,
        }
        self._writer.add(AuditRecord(kind="leak", actor=subject.actor, subject=leak.entry.id, data=data))
        self._tripped(leak.entry)

    def detector_failed(self, detector: str, mode: Literal["fail_closed", "fail_open"]) -> None:
        """A detector could not say; `mode` is what then happened to the request."""
        known: Detector = "lexical" if detector == "lexical" else "image" if detector == "image" else "semantic"
        self._metrics.detector_failure(known, mode)

    def answered(self, *, by_model: bool) -> None:
        """A treated answer left."""
        self._metrics.treated_answer("model" if by_model else "expunge")


def entries_of(detections: Sequence[Detection]) -> list[dict[str, object]]:
    """Detections as ids, revisions, scores and the names of the detectors that met them."""
    return [
        {
            "id": detection.entry.id,
            "revision": detection.entry.revision,
            "score": round(detection.score, 4),
            "by": sorted({f"{item.detector}:{item.kind.value}" for item in detection.evidence}),
        }
        for detection in detections
    ]


def _shadow_of(decision: Decision) -> list[dict[str, object]]:
    """The same of entries in shadow, and whether acting on each would have changed anything."""
    found = zip(entries_of(decision.shadow), decision.shadow, strict=True)
    return [{**told, "would_change": would_change(detection)} for told, detection in found]


def suspects_of(decision: Decision) -> list[dict[str, object]]:
    """The entries that the answer is judged for although the request alone does not match them."""
    return [{"id": one.entry.id, "score": round(one.score, 4)} for one in decision.suspects]


def explanation(decision: Decision, *, shape: str, took_ms: float) -> dict[str, object]:
    """A decision for an admin who asks for it; ids and scores only."""
    return {
        "action": decision.action.value,
        "treatment": decision.treatment,
        "shape": shape,
        "entries": entries_of(decision.detections),
        "supplied": entries_of(decision.supplied),
        "shadow": entries_of(decision.shadow),
        "resting": entries_of(decision.resting),
        "suspects": suspects_of(decision),
        "ms": round(took_ms, 3),
    }
