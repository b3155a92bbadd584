"""What an inspector is: it follows one outgoing text and says how much of it may leave.

Offsets are absolute: characters since the text's beginning. An inspector never changes text; the stream guard does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from guardrail.decision import Leak
from retrieval.text.automaton import PhraseHit
from retrieval.text.phrases import PhraseTag

Forbids = Callable[[PhraseHit[PhraseTag], str], Leak | None]
"""Decides whether a phrase met in outgoing text is forbidden for this request; gets the hit and the met text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a text is cleared, and the first leak behind that point.

    `pending_limit_chars` is the length of the longest forbidden span that the uncleared text may still become.
    `awaits_verdict`: uncleared text waits for a jury, even where it is final; an empty push shows what has become of it.
    """

    cleared: int
    leak: Leak | None = None
    pending_limit_chars: int = 0
    awaits_verdict: bool = False


class Inspector(Protocol):
    """Follows one text."""

    def push(self, text: str, *, final: bool = False) -> Progress:
        """Take the next piece. After a leak, `resume` must be called before the next push."""
        ...

    def resume(self, position: int) -> None:
        """Go on behind a repaired leak."""
        ...
