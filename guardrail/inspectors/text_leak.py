"""Plain text that leaves: nothing forbidden may pass, and only text that can still become forbidden waits.

The phrase automaton reads the tail that can still be part of a phrase; all before it is cleared at once. With
`by_sentence`, a sentence is cleared as a whole, once it has ended. Text that had to leave early (`final`) stays in mind:
a phrase that is completed later is still found, with its beginning before the cleared point.
"""

from __future__ import annotations

from dataclasses import replace

from guardrail.decision import Leak
from guardrail.inspectors.protocol import Forbids, Progress
from retrieval.text.automaton import PhraseAutomaton, PhraseHit
from retrieval.text.phrases import PhraseTag
from retrieval.text.views import ends_inside_word

_SENTENCE_ENDS = frozenset(".!?\n。！？")
_TAIL_LIMIT_CHARS = 2_000


class TextLeak:
    """Follows one plain text."""

    def __init__(self, phrases: PhraseAutomaton[PhraseTag], forbids: Forbids, *, by_sentence: bool = False) -> None:
        self._phrases = phrases
        self._forbids = forbids
        self._by_sentence = by_sentence
        self._tail = ""
        self._base = 0
        self._inside_word = False

    def push(self, text: str, *, final: bool = False) -> Progress:
        tail = self._tail = self._tail + text
        scan = self._phrases.scan(tail, final=False, inside_word=self._inside_word)
        hits = scan.hits
        if final and scan.pending_from < len(tail):
            hits = self._phrases.scan(tail, final=True, inside_word=self._inside_word).hits
        if hits and (leak := self._first(hits, tail)) is not None:
            safe = min(leak.start, scan.pending_from)
            if self._by_sentence:
                safe = _sentence_end(tail, safe)
            return Progress(cleared=self._base + safe, leak=shifted(leak, self._base))
        whole = self._base + len(tail)
        ready = scan.pending_from
        if self._by_sentence:
            ready = _sentence_end(tail, ready)
            self._advance(ready)
        elif ready:
            self._base += ready
            self._tail = tail[ready:]
            self._inside_word = scan.inside_word
        return Progress(cleared=whole if final else self._base, pending_limit_chars=scan.pending_limit)

    def resume(self, position: int) -> None:
        self._advance(position - self._base)
        self._inside_word = False  # the repair stands before what follows

    def _first(self, hits: tuple[PhraseHit[PhraseTag], ...], tail: str) -> Leak | None:
        """The forbidden hit that begins first, the longest of those."""
        for hit in sorted(hits, key=_by_start):
            leak = self._forbids(hit, tail[hit.start : hit.end])
            if leak is not None:
                return leak
        return None

    def _advance(self, count: int) -> None:
        if count <= 0:
            return
        self._inside_word = ends_inside_word(self._tail[:count], before=self._inside_word)
        self._base += count
        self._tail = self._tail[count:]


def shifted(leak: Leak, by: int) -> Leak:
    """The same leak, counted from the text's beginning."""
    return replace(leak, start=leak.start + by, end=leak.end + by)


def _by_start(hit: PhraseHit[PhraseTag]) -> tuple[int, int]:
    return (hit.start, -hit.end)


def _sentence_end(tail: str, limit: int) -> int:
    """The end of the last whole sentence within `tail[:limit]`; all of it once it has grown too long to wait for."""
    for index in range(limit - 1, -1, -1):
        if tail[index] in _SENTENCE_ENDS:
            return index + 1
    return limit if limit > _TAIL_LIMIT_CHARS else 0
