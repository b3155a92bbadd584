"""Content that the caller hands in, where the entry wants it redacted: the request's passages with the spans replaced.

Shared by treatments; which spans are handed in was worked out by the detectors.
"""

from __future__ import annotations

from guardrail.decision import NO_PASSAGE, JsonPath
from guardrail.treatments.text.protocol import TreatmentContext
from retrieval.entry import SuppliedContext


def redacted_passages(context: TreatmentContext, redaction: str) -> dict[JsonPath, str]:
    """Passages whose handed-in spans must go, with the spans replaced."""
    spans: dict[int, list[tuple[int, int]]] = {}
    for detection in context.decision.detections:
        if detection.entry.entry.supplied_context is SuppliedContext.REDACT:
            for item in detection.evidence:
                if item.supplied and item.passage != NO_PASSAGE:
                    spans.setdefault(item.passage, []).append((item.start, item.end))
    edited: dict[JsonPath, str] = {}
    for index, places in spans.items():
        passage = context.passages[index]
        text, last = "", 0
        for start, end in sorted(places):
            if start >= last:
                text += passage.text[last:start] + redaction
            last = max(last, end)
        edited[passage.path] = text + passage.text[last:]
    return edited


def redacted_pictures(context: TreatmentContext) -> tuple[JsonPath, ...]:
    """Where pictures sit that must go."""
    found = [
        item.part
        for detection in context.decision.detections
        if detection.entry.entry.supplied_context is SuppliedContext.REDACT
        for item in detection.evidence
        if item.supplied and item.part
    ]
    return tuple(dict.fromkeys(found))
