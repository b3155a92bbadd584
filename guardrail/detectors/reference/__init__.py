"""Does a turn of a conversation point back at what was spoken of before? See `turn.py`."""

from __future__ import annotations

from guardrail.detectors.reference.turn import read_reference
from guardrail.detectors.reference.values import Gender, Link, Reference

__all__ = ["Gender", "Link", "Reference", "read_reference"]
