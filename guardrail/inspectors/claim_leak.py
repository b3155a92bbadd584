"""What an answer tells of an entry without naming it, statement by statement, judged together with the question.

"He was born in Portland in 1947 and wrote Carrie" tells of someone whose name is not in it; "Carrie" tells of him where
the question asks for his first novel. Text waits until the statement that it stands in has ended and the jury's verdict
on it is out, for as many statements as the jury hears; all behind them is left to the inspector inside. Statements that
own to not knowing need no verdict. It knows neither models nor what follows a leak.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from guardrail.decision import EvidenceKind, Leak
from guardrail.inspectors.jury import Jury, Verdict
from guardrail.inspectors.protocol import Inspector, Progress
from guardrail.inspectors.statements import LIMIT_CHARS, owns_to_not_knowing, statement_end, words_of_json

_BETWEEN = " \t\r\n.,;:!?"
"""What may stand before a statement and belongs to the one before it."""


@dataclass(slots=True)
class _Case:
    """A statement before the jury: it waits from `start`, its words stand in `said_from` .. `said_to`."""

    start: int
    said_from: int
    said_to: int
    verdict: Verdict


class ClaimLeak:
    """Wraps an inspector of the same text. `in_json`: the text is decoded JSON, of which the words are judged."""

    def __init__(self, inner: Inspector, jury: Jury, request: str, *, in_json: bool = False) -> None:
        self._inner = inner
        self._jury = jury
        self._request = request
        self._in_json = in_json
        self._left = jury.most_statements
        self._cases: deque[_Case] = deque()
        self._tail = ""  # the statement that has not ended, and where it begins
        self._base = 0
        self._before = ""  # the part of that sentence that had to be judged before it ended
        self._unread = ""  # what came while the inner inspector's leak waits for verdicts on what stands before it
        self._leak: Leak | None = None
        self._inner_cleared = 0
        self._pending_chars = 0

    def push(self, text: str, *, final: bool = False) -> Progress:
        self._unread += text
        if self._leak is None:
            self._read(final=final)
        while self._cases and not self._cases[0].verdict.is_open and self._cases[0].verdict.entry is None:
            self._cases.popleft()
        first = self._cases[0] if self._cases else None
        leak = self._leak
        if first is not None and (leak is None or first.start < leak.start):
            leak = self._condemned(first)
        cleared = min(self._inner_cleared, self._base if first is None else first.start)
        if leak is not None:
            cleared = min(cleared, leak.start)
        is_judged = self._left == 0 and first is None
        pending_chars = self._pending_chars if is_judged else max(self._pending_chars, LIMIT_CHARS)
        return Progress(
            cleared=cleared, leak=leak, pending_limit_chars=pending_chars, awaits_verdict=leak is None and bool(first)
        )

    def resume(self, position: int) -> None:
        is_ahead = self._leak is not None and self._leak.start >= position
        if not is_ahead and (self._leak is not None or position >= self._inner_cleared):
            self._inner.resume(position)
            self._inner_cleared = max(self._inner_cleared, position)
            self._leak = None
        while self._cases and self._cases[0].said_to <= position:
            self._cases.popleft()
        for case in self._cases:
            case.start, case.said_from = max(case.start, position), max(case.said_from, position)
        if position >= self._base:
            self._tail = self._tail[position - self._base :]
            self._base = position
            self._before = ""  # a repair stands between

    def _read(self, *, final: bool) -> None:
        """Let the inner inspector read on, and bring the statements that have ended before the jury."""
        text, self._unread = self._unread, ""
        progress = self._inner.push(text, final=final)
        self._inner_cleared = max(self._inner_cleared, progress.cleared)
        self._pending_chars = progress.pending_limit_chars
        self._leak = progress.leak
        self._tail += text
        # The inner inspector's leak is told on its own, so what stands before it is judged on its own.
        stop = self._base + len(self._tail) if self._leak is None else max(self._leak.start, self._base)
        while self._left and (end := statement_end(self._tail[: stop - self._base])) is not None:
            self._bring(end, is_end=end < LIMIT_CHARS)
        if self._left and stop > self._base and (final or self._leak is not None):
            self._bring(stop - self._base, is_end=False)
        if not self._left:
            self._base, self._tail = self._base + len(self._tail), ""

    def _bring(self, count: int, *, is_end: bool) -> None:
        """The next `count` characters are a statement, together with what was judged of its sentence before."""
        piece, start = self._tail[:count], self._base
        self._tail, self._base = self._tail[count:], start + count
        said = self._before + piece
        self._before = "" if is_end else said[-LIMIT_CHARS:]
        words = words_of_json(said) if self._in_json else said.lstrip(_BETWEEN).rstrip()
        if not piece.strip(_BETWEEN) or owns_to_not_knowing(words):
            return
        self._left -= 1
        said_from = start + len(piece) - len(piece.lstrip(_BETWEEN))
        said_to = start + len(piece.rstrip())
        verdict = self._jury.bring(self._request, words)
        self._cases.append(_Case(start=start, said_from=said_from, said_to=said_to, verdict=verdict))

    def _condemned(self, case: _Case) -> Leak | None:
        """The leak that a statement is; None while the verdict is open. A phrase that begins in it goes as a whole."""
        entry = case.verdict.entry
        if entry is None:
            return None
        end = case.said_to
        if self._leak is not None and self._leak.start < end:
            end = max(end, self._leak.end)
        return Leak(entry=entry, kind=EvidenceKind.CLAIM, start=case.said_from, end=end)
