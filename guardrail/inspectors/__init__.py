"""Inspect output: one literal table of inspectors, and the choice of one for a text."""

from __future__ import annotations

from guardrail.inspectors.claim_leak import ClaimLeak
from guardrail.inspectors.ignorance import IgnoranceWatch
from guardrail.inspectors.json_ignorance import JsonIgnoranceWatch
from guardrail.inspectors.protocol import Forbids, Inspector, Progress
from guardrail.inspectors.structured_leak import StructuredLeak
from guardrail.inspectors.text_leak import TextLeak

INSPECTORS: dict[
    str, type[TextLeak] | type[StructuredLeak] | type[IgnoranceWatch] | type[JsonIgnoranceWatch] | type[ClaimLeak]
] = {
    "text_leak": TextLeak,
    "structured_leak": StructuredLeak,
    "ignorance": IgnoranceWatch,
    "json_ignorance": JsonIgnoranceWatch,
    "claim_leak": ClaimLeak,
}

__all__ = [
    "INSPECTORS",
    "ClaimLeak",
    "Forbids",
    "IgnoranceWatch",
    "Inspector",
    "JsonIgnoranceWatch",
    "Progress",
    "StructuredLeak",
    "TextLeak",
]
