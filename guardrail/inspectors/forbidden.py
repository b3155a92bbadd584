"""What is forbidden in the answer to one request.

A phrase counts if its entry is in the caller's scope, in force, and not in shadow; phrases that are no proof by
themselves ("1947") count only where the request touched the entry; and what the caller handed in himself may come back.
"""

from __future__ import annotations

from collections.abc import Iterable

from guardrail.decision import Admits, EvidenceKind, Leak
from retrieval.entry import EntryState
from retrieval.text.automaton import PhraseHit
from retrieval.text.phrases import PhraseTag
from retrieval.text.views import normalise

HandedIn = tuple[str, tuple[str, ...]]
"""(entry id, normalised words) of a phrase that the caller handed in and may get back."""


class Forbidden:
    """Callable: a phrase met in outgoing text -> the leak it is, or None."""

    def __init__(
        self, admits: Admits, *, detected: Iterable[str], handed_in: frozenset[HandedIn] = frozenset()
    ) -> None:
        self._admits = admits
        self._detected = frozenset(detected)
        self._handed_in = handed_in

    def __call__(self, hit: PhraseHit[PhraseTag], found: str) -> Leak | None:
        for tag in hit.tags:
            if not tag.always and tag.entry_id not in self._detected:
                continue
            entry = self._admits(tag.entry_id)
            if entry is None or not tag.fits(found) or entry.state() is EntryState.SHADOW:
                continue
            if self._handed_in and (tag.entry_id, normalise(found).words) in self._handed_in:
                continue
            return Leak(entry=entry, kind=EvidenceKind(tag.kind), start=hit.start, end=hit.end)
        return None
