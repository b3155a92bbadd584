"""What a detector is: passages in, evidence out.

A detector knows what is near to what; it does not know policies, and it sees only entries that `Admits` lets through
(those in the caller's scope and in force now).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from guardrail.decision import Admits, Evidence, Passage
from retrieval.entry import RegisteredEntry


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One piece of evidence for one entry."""

    entry: RegisteredEntry
    evidence: Evidence


class Detector(Protocol):
    """Finds entries that passages touch."""

    name: str

    async def find(self, passages: Sequence[Passage], admits: Admits) -> list[Finding]:
        """Every finding; raises `DetectorFailure` when it cannot say."""
        ...
