"""Detect: one literal table of detectors, cheapest first."""

from __future__ import annotations

from guardrail.detectors.conversation import ConversationDetector
from guardrail.detectors.lexical import LexicalDetector
from guardrail.detectors.protocol import Detector
from guardrail.detectors.semantic import SemanticDetector

DETECTORS: dict[str, type[LexicalDetector] | type[SemanticDetector] | type[ConversationDetector]] = {
    "lexical": LexicalDetector,
    "semantic": SemanticDetector,
    "conversation": ConversationDetector,
}

__all__ = ["DETECTORS", "Detector"]
