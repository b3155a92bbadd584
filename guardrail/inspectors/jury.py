"""The jury over one answer: statements are brought before it, and its verdicts come later.

An inspector follows a text without waiting; judging takes time. So it brings a statement and gets a `Verdict` that is
open; whoever relays the answer awaits `deliberate`, after which the verdict is out and the inspector may look again. The
jury fails closed: where it cannot say, `deliberate` raises, and nothing unjudged has left. It knows no texts as a whole
and no repairs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from guardrail.decision import Admits
from guardrail.errors import overloaded
from guardrail.inspectors.novelty import adds
from retrieval.entry import RegisteredEntry
from retrieval.errors import RetrievalError
from retrieval.searcher import Near
from retrieval.text.views import normalise

Ask = Callable[[str, str, Sequence[str]], Awaitable[Sequence[Near]]]
"""(request, statement, entry ids) -> the entries that the statement, as an answer to that request, tells of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Court:
    """What is the same for every jury. `recited` says of which entries a statement recites the texts, beyond what the
    request holds. `most_statements` of one text are judged; `on_failure` is told that a jury could not say; `fails_open`
    lets statements pass then."""

    ask: Ask
    recited: Ask
    timeout_s: float
    fails_open: bool
    on_failure: Callable[[], None]
    most_statements: int


@dataclass(slots=True)
class Verdict:
    """Open until the jury has deliberated; then `entry` is what the statement tells of, if anything."""

    is_open: bool = True
    entry: RegisteredEntry | None = None


class Jury:
    """Judges the statements of one answer for a few entries. What is said twice is judged once.

    Of entries that the caller may hand content in about (`allowed_ids`), he may be told what it holds: a leak is only what
    recites more than `handed_in`, or tells of the entry with names or numbers that stand nowhere in it.
    """

    def __init__(
        self,
        court: Court,
        *,
        entry_ids: Sequence[str],
        admits: Admits,
        allowed_ids: Sequence[str] = (),
        handed_in: str = "",
    ) -> None:
        self._court = court
        self._entry_ids = tuple(entry_ids)
        self._allowed_ids = tuple(allowed_ids)
        self._handed_in = handed_in
        self._known = frozenset(normalise(handed_in).words)
        self._admits = admits
        self._verdicts: dict[tuple[str, str], Verdict] = {}
        self._waiting: list[tuple[str, str]] = []
        self._gave_up = False

    @property
    def most_statements(self) -> int:
        """How many statements of one text may be brought."""
        return self._court.most_statements

    @property
    def is_waiting(self) -> bool:
        """True while statements wait for a verdict."""
        return bool(self._waiting)

    def bring(self, request: str, statement: str) -> Verdict:
        """Bring a statement of the answer to `request`."""
        case = request, statement
        if self._gave_up:
            return Verdict(is_open=False)
        verdict = self._verdicts.get(case)
        if verdict is None:
            verdict = self._verdicts[case] = Verdict()
            self._waiting.append(case)
        return verdict

    async def deliberate(self) -> None:
        """Decide what waits. Raises `ApiError` (503) where it cannot be said, unless statements pass then."""
        cases, self._waiting = self._waiting, []
        try:
            async with asyncio.timeout(self._court.timeout_s):
                found = await self._ask(cases)
        except (RetrievalError, TimeoutError, ValueError, RuntimeError, OSError) as error:
            self._court.on_failure()
            if not self._court.fails_open:
                raise overloaded("The service cannot give this answer at the moment.", retry_after_s=2.0) from error
            self._gave_up = True  # a caller must not wait as long again for every statement
            found = [() for _ in cases]
        for case, nears in zip(cases, found, strict=True):
            verdict = self._verdicts[case]
            verdict.entry, verdict.is_open = self._told_of(nears), False

    async def _ask(self, cases: Sequence[tuple[str, str]]) -> list[Sequence[Near]]:
        answers = await asyncio.gather(*(self._near(*case) for case in cases), return_exceptions=True)
        found: list[Sequence[Near]] = []
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            found.append(answer)
        return found

    async def _near(self, request: str, statement: str) -> Sequence[Near]:
        told_of = [*self._entry_ids, *(self._allowed_ids if adds(statement, self._known) else ())]
        told = await self._court.ask(request, statement, told_of) if told_of else ()
        if not self._allowed_ids:
            return told
        return [*told, *await self._court.recited(self._handed_in, statement, self._allowed_ids)]

    def _told_of(self, nears: Sequence[Near]) -> RegisteredEntry | None:
        """The nearest entry that the statement tells of and that is in force at this moment."""
        for near in sorted(nears, key=lambda near: -near.score):
            entry = self._admits(near.entry_id) if near.is_match else None
            if entry is not None:
                return entry
        return None
