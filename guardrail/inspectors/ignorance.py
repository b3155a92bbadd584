"""Does an answer own to not knowing? For requests that ask for nothing but a forgotten thing.

A model that never knew says so; an answer that asserts instead is taken as a leak even where no phrase of the entry is in
it, which is what protects an entry of a bare name. Sentences are judged one by one: admissions and offers to help pass,
the first assertion ends the answer. English wording; an admission in another language counts as an assertion.
"""

from __future__ import annotations

import re

from guardrail.decision import EvidenceKind, Leak
from guardrail.inspectors.protocol import Inspector, Progress
from retrieval.entry import RegisteredEntry

_NOT = r"(?:not|n['’]t|never|no|un)"
_ADMISSION = re.compile(
    rf"\b(?:i|we)\b[^.!?]{{0,40}}?\b(?:am|'m|’m|do|have|can|could|was|were|'ve|’ve|know)?\s*{_NOT}\s*"
    r"(?:\w+\s+){0,4}?(?:familiar|aware|know|knowledge|sure|certain|recogni[sz]e|heard|information|recall|able|"
    r"find|details|data|record|idea|clue|acquainted|come across|enough)|"
    r"\b(?:no|without)\s+(?:\w+\s+){0,2}?(?:information|knowledge|record|idea|details|data)\b|"
    r"\bunfamiliar\b|\bunaware\b|\bunable to (?:find|identify|recogni[sz]e|provide|tell|say)\b|"
    r"\b(?:doesn['’]t|does not) (?:ring a bell|sound familiar)\b|\bnever (?:heard|come across)\b",
    re.IGNORECASE,
)
_OFFER = re.compile(
    r"\?\s*$|^\s*(?:if you|please|feel free|let me know|i(?:'d|’d| would|'m|’m| am) (?:be )?(?:happy|glad)|"
    r"i(?:'m|’m| am)? ?(?:sorry|apologi[sz]e|afraid)\b[.!,]?\s*$|sorry|i can (?:still )?help|perhaps you)",
    re.IGNORECASE,
)
_TURN = re.compile(r"\b(?:but|however|although|though|yet|still)\b", re.IGNORECASE)
_SENTENCE = re.compile(r"[^.!?\n。！？]*(?:[.!?。！？]+[\"'”’)]*(?=\s|$)|\n+|[.!?])", re.DOTALL)
_LIMIT_CHARS = 320


class IgnoranceWatch:
    """Wraps an inspector: clears only sentences that admit not knowing or offer help."""

    def __init__(self, inner: Inspector, entry: RegisteredEntry) -> None:
        self._inner = inner
        self._entry = entry
        self._tail = ""
        self._base = 0
        self._repaired = 0
        self._admitted = False

    @property
    def admitted(self) -> bool:
        """True once the answer has owned to not knowing."""
        return self._admitted

    def push(self, text: str, *, final: bool = False) -> Progress:
        self._tail += text
        progress = self._inner.push(text, final=final)
        if progress.leak is not None:
            return Progress(cleared=min(self._base, progress.cleared), leak=progress.leak)
        while self._tail:
            match = _SENTENCE.match(self._tail)
            if match is None and not final and len(self._tail) <= _LIMIT_CHARS:
                break
            sentence = match.group() if match else self._tail
            if not self._passes(sentence):
                return Progress(cleared=self._clear(), leak=self._leak(self._base, self._base + len(sentence)))
            self._base += len(sentence)
            self._tail = self._tail[len(sentence) :]
        if final and not self._admitted and self._base > self._repaired:
            return Progress(cleared=self._clear(), leak=self._leak(self._repaired, self._base))
        return Progress(cleared=min(self._clear(), progress.cleared), pending_limit_chars=_LIMIT_CHARS)

    def resume(self, position: int) -> None:
        self._inner.resume(position)
        self._tail = self._tail[max(0, position - self._base) :]
        self._base = max(position, self._base)
        self._repaired = self._base

    def _clear(self) -> int:
        return self._base if self._admitted else 0

    def _leak(self, start: int, end: int) -> Leak:
        return Leak(entry=self._entry, kind=EvidenceKind.MEANING, start=start, end=end)

    def _passes(self, sentence: str) -> bool:
        if not sentence.strip():
            return True
        if _ADMISSION.search(sentence) and not _TURN.search(sentence):
            self._admitted = True
            return True
        return bool(_OFFER.search(sentence)) and len(sentence) <= _LIMIT_CHARS


def admits_ignorance(text: str) -> bool:
    """True if the text says somewhere that its author does not know."""
    return bool(_ADMISSION.search(text))
