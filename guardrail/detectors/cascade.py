"""All detectors in order of their cost, under one time limit, gathered into one detection per entry.

Detectors read all turns of a conversation; `focus.py` then says what of it the current turn is about.
What happens when a detector fails or is too slow is the policy's word, not this file's: it only reports the failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter

from guardrail.decision import Admits, Detection, Evidence, Passage
from guardrail.detectors.focus import keep_focus
from guardrail.detectors.protocol import Detector, Finding
from retrieval.entry import RegisteredEntry
from retrieval.errors import RetrievalError


class DetectorFailure(Exception):
    """A detector could not say. `found` is what the others had found by then."""

    def __init__(self, detector: str, reason: str, found: tuple[Detection, ...]) -> None:
        super().__init__(f"detector '{detector}': {reason}")
        self.detector = detector
        self.reason = reason
        self.found = found


class Cascade:
    """Runs the detectors one after the other."""

    def __init__(
        self, detectors: Sequence[Detector], *, timeout_s: float, observe: Callable[[str, float], None]
    ) -> None:
        self._detectors = detectors
        self._timeout_s = timeout_s
        self._observe = observe

    async def detect(self, passages: Sequence[Passage], admits: Admits) -> tuple[Detection, ...]:
        """One detection per entry, nearest first. Raises `DetectorFailure`."""
        findings: list[Finding] = []
        for detector in self._detectors:
            started = perf_counter()
            try:
                async with asyncio.timeout(self._timeout_s):
                    findings += await detector.find(passages, admits)
            except TimeoutError:
                raise DetectorFailure(detector.name, "timeout", gather(findings)) from None
            except (RetrievalError, ValueError, RuntimeError, OSError) as error:
                raise DetectorFailure(detector.name, type(error).__name__, gather(findings)) from error
            self._observe(detector.name, perf_counter() - started)
        return gather(keep_focus(passages, findings))


def gather(findings: Sequence[Finding]) -> tuple[Detection, ...]:
    """Findings as one detection per entry, by falling score, then by id. Where something matches, what is merely near
    says nothing more."""
    entries: dict[str, RegisteredEntry] = {}
    evidence: dict[str, list[Evidence]] = {}
    for finding in findings:
        entries[finding.entry.id] = finding.entry
        evidence.setdefault(finding.entry.id, []).append(finding.evidence)
    for key, items in evidence.items():
        evidence[key] = [item for item in items if item.is_match] or items
    found = [
        Detection(entry=entries[key], score=max(item.score for item in items), evidence=tuple(items))
        for key, items in evidence.items()
    ]
    return tuple(sorted(found, key=lambda detection: (-detection.score, detection.entry.id)))


def merged(detections: Sequence[Detection], others: Sequence[Detection]) -> tuple[Detection, ...]:
    """Detections of two kinds of detectors as one, by falling score, then by id."""
    whole = {one.entry.id: one for one in detections}
    for other in others:
        one, both = whole.get(other.entry.id), other
        if one is not None and one.is_match:
            both = replace(one, score=max(one.score, other.score), evidence=(*one.evidence, *other.evidence))
        whole[other.entry.id] = both
    return tuple(sorted(whole.values(), key=lambda detection: (-detection.score, detection.entry.id)))
