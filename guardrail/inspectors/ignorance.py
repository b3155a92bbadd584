"""Does an answer own to not knowing? For requests that ask for nothing but a forgotten thing.

A model that never knew says so; an answer that asserts instead is taken as a leak even where no phrase of the entry is in
it, which is what protects an entry of a bare name. Sentences are judged one by one, each once what follows its end is
seen, so that the verdict does not hang on how the text is cut into pieces. A sentence leaves only if `says_nothing`.
"""

from __future__ import annotations

from dataclasses import replace

from guardrail.decision import EvidenceKind, Leak
from guardrail.inspectors.not_knowing import is_admission, says_nothing
from guardrail.inspectors.protocol import Inspector, Progress
from guardrail.inspectors.statements import LIMIT_CHARS, sentence_end
from retrieval.entry import RegisteredEntry


class IgnoranceWatch:
    """Wraps an inspector: clears only sentences that admit not knowing, or that say nothing beside such a one."""

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
        inner = self._inner.push(text, final=final)
        judged = final and inner.leak is None
        leak = self._judge(final=judged, before=None if inner.leak is None else inner.leak.start)
        if leak is None and inner.leak is not None:
            # What stands before it in the same sentence has not been judged, so it goes as well.
            leak = replace(inner.leak, start=min(self._base, inner.leak.start))
        if leak is None and judged and not self._admitted and self._base > self._repaired:
            leak = self._leak(self._repaired, self._base)
        cleared = min(self._base if self._admitted else self._repaired, inner.cleared)
        return Progress(cleared=cleared, leak=leak, pending_limit_chars=LIMIT_CHARS)

    def resume(self, position: int) -> None:
        self._inner.resume(position)
        if position > self._base:
            self._tail = self._tail[position - self._base :]
            self._base = position
        self._repaired = self._base

    def _judge(self, *, final: bool, before: int | None) -> Leak | None:
        """Judge the sentences that have ended (`before` an offset); gives the first that may not leave."""
        while self._tail:
            end = sentence_end(self._tail, final=final)
            if end is None or (before is not None and self._base + end > before):
                return None
            sentence = self._tail[:end]
            if not says_nothing(sentence):
                return self._leak(self._base, self._base + end)
            self._admitted = self._admitted or is_admission(sentence)
            self._base += end
            self._tail = self._tail[end:]
        return None

    def _leak(self, start: int, end: int) -> Leak:
        return Leak(entry=self._entry, kind=EvidenceKind.MEANING, start=start, end=end)
