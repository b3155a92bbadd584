"""Asks the served model about new entries in the background and adds what it says to their memories.

The entry is enforced long before. One entry at a time, a few calls each, each with a time limit; a model that does not
answer is asked again a little later, then given up. What is not finished when the process ends is found again at the next
start. Knows no backend: how the model is asked is handed in. Nothing that is asked or answered is logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from guardrail.elicitation.questions import Question, edits_from, questions_about
from guardrail.errors import ApiError
from retrieval.entry import ForgetEntry, MemoryEdit, RegisteredEntry
from retrieval.errors import EntryConflict, EntryNotFound, EntryRevoked, RetrievalError
from retrieval.registry import MemoryRows, Registry
from retrieval.stores.edit_rows import merged_edits

Ask = Callable[[str], Awaitable[str]]
"""A prompt -> the served model's answer. Raises `ApiError` or `TimeoutError`."""

_log = logging.getLogger("expunge")
_ACTOR: Final = "expunge"
_PAGE: Final = 500
_WRITE_ATTEMPTS: Final = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Collaborators:
    """What the worker is given: the model, the embedder of core memory, and who builds the rest of a memory."""

    ask: Ask
    embed: Callable[[ForgetEntry, Sequence[MemoryEdit]], Sequence[MemoryRows]]
    build_memory: Callable[[RegisteredEntry], None]


class Elicitation:
    """A queue of entries and one task that works it off. `waits_s`: pauses before the model is asked again."""

    def __init__(
        self,
        registry: Registry,
        collaborators: Collaborators,
        *,
        timeout_s: float = 60.0,
        waits_s: tuple[float, ...] = (5.0, 60.0),
    ) -> None:
        self._registry = registry
        self._with = collaborators
        self._timeout_s = timeout_s
        self._waits_s = waits_s
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._busy = 0

    @property
    def waiting(self) -> int:
        """Entries that the model is still to be asked about."""
        return self._queue.qsize() + self._busy

    async def start(self) -> None:
        """Queue every entry that the model was not asked about, and begin."""
        cursor: str | None = None
        while True:
            page = await asyncio.to_thread(self._registry.list, limit=_PAGE, cursor=cursor)
            for record in page.items:
                self.schedule(record)
            cursor = page.next_cursor
            if cursor is None:
                break
        self._task = asyncio.create_task(self._work())

    def schedule(self, record: RegisteredEntry) -> None:
        """Queue an entry that the model was not asked about; returns at once."""
        if record.revoked_at is None and record.elicited_at is None:
            self._queue.put_nowait(record.id)

    async def stop(self) -> None:
        """Stop asking; what is left is found at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _work(self) -> None:
        while True:
            entry_id = await self._queue.get()
            self._busy = 1
            try:
                await self._elicit(entry_id)
            except (RetrievalError, ValueError, RuntimeError, OSError) as error:
                # One entry that fails must not keep the others waiting; the kind of failure is enough to find it.
                _log.error("the served model's words on entry %s were not kept: %s", entry_id, type(error).__name__)
            finally:
                self._busy = 0

    async def _elicit(self, entry_id: str) -> None:
        try:
            record = await asyncio.to_thread(self._registry.get, entry_id)
            if record.revoked_at is not None or record.elicited_at is not None:
                return
            answers = [(question, await self._answer(question)) for question in questions_about(record.entry)]
            changed = await asyncio.to_thread(self._keep, entry_id, answers)
        except (EntryNotFound, EntryRevoked):
            return  # gone while the model was asked
        self._with.build_memory(changed)

    async def _answer(self, question: Question) -> str:
        """The model's answer; empty where it does not give one after some attempts."""
        for wait_s in (0.0, *self._waits_s):
            await asyncio.sleep(wait_s)
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._with.ask(question.prompt)
            except (ApiError, TimeoutError) as error:
                _log.warning("the served model did not say what it knows: %s", type(error).__name__)
        return ""

    def _keep(self, entry_id: str, answers: list[tuple[Question, str]]) -> RegisteredEntry:
        """Write what was said; made anew where the entry changed while the model was asked."""
        for attempt in range(_WRITE_ATTEMPTS):
            record = self._registry.get(entry_id)
            edits = edits_from(record.entry, record.edits, answers)
            memory = self._with.embed(record.entry, merged_edits(record.edits, edits, ()))
            try:
                return self._registry.memory_edits.change(
                    entry_id, put=edits, actor=_ACTOR, if_revision=record.revision, memory=memory, elicited=True
                )
            except EntryConflict:
                if attempt == _WRITE_ATTEMPTS - 1:
                    raise
        raise EntryConflict("The entry kept changing.")
