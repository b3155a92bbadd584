"""Detect: one literal table of detectors, cheapest first."""

from __future__ import annotations

from guardrail.detectors.lexical import LexicalDetector
from guardrail.detectors.protocol import Detector
from guardrail.detectors.semantic import SemanticDetector

DETECTORS: dict[str, type[LexicalDetector] | type[SemanticDetector]] = {
    "lexical": LexicalDetector,
    "semantic": SemanticDetector,
}

__all__ = ["DETECTORS", "Detector"]
