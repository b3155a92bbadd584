"""Do the served weights themselves know an entry any more? Asked past the guard, on the backend that serves.

    covered entries -> probes (its facts' questions, its exemplars) -> the served weights -> inspectors -> verified or not

An entry whose answers hold no leak is `verified`: its input treatment rests, and the look at answers stays. A verified
entry that leaks, here or in a caller's answer (the tripwire), is treated in full again. Probes and answers are kept
nowhere. It knows no jobs.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Final

from guardrail.decision import Caller, Passage, Role
from guardrail.errors import GuardrailError
from guardrail.flow import Flow
from guardrail.rollout import Rollout
from guardrail.settings import ConsolidationSettings
from retrieval.audit_log import AuditRecord
from retrieval.entry import EntryState, RegisteredEntry
from retrieval.errors import EntryNotFound, RetrievalError
from retrieval.registry import Registry

POLL_S: Final = 1.0
AGAIN_S: Final = 30.0
TOKENS: Final = 64
_ACTOR: Final = "verification"

_log = logging.getLogger("expunge")

Ask = Callable[[str, str], Awaitable[str]]
"""Public model, prompt -> what the weights behind it say, untreated."""


class Verification:
    """Of one process; one process of a deployment is enough."""

    def __init__(
        self, registry: Registry, settings: ConsolidationSettings, *, flow: Flow, rollout: Rollout, ask: Ask
    ) -> None:
        self._registry, self._settings = registry, settings
        self._flow, self._rollout, self._ask = flow, rollout, ask
        self._asked_at: dict[tuple[str, str, int], float] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin looking, in the background."""
        if self._settings.verify:
            self._task = asyncio.create_task(self._run(), name="verification")

    async def stop(self) -> None:
        """End looking."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except (GuardrailError, RetrievalError) as error:
                _log.warning("verification: %s", error)
            await asyncio.sleep(POLL_S)

    async def look(self) -> int:
        """Ask about every covered entry whose time has come; how many were asked about."""
        asked = 0
        for model in self._rollout.speaking:
            for entry_id, revision in self._rollout.covers(model).items():
                record = await asyncio.to_thread(self._covered, entry_id, revision)
                key = (model, entry_id, revision)
                if record is not None and self._is_time(key, record):
                    self._asked_at[key] = time.monotonic()
                    asked += await self._looked_at(model, record)
        return asked

    def _covered(self, entry_id: str, revision: int) -> RegisteredEntry | None:
        """The entry while the weights cover what it says now."""
        try:
            record = self._registry.get(entry_id)
        except EntryNotFound:
            return None
        is_covered = record.weights in (EntryState.CONSOLIDATED, EntryState.VERIFIED)
        return record if is_covered and record.revision == revision and record.revoked_at is None else None

    def _is_time(self, key: tuple[str, str, int], record: RegisteredEntry) -> bool:
        last = self._asked_at.get(key)
        if last is None:
            return True
        return time.monotonic() - last >= self._span_s

    async def _looked_at(self, model: str, record: RegisteredEntry) -> bool:
        """Ask, and mark the entry; False, and later again, where the weights cannot be asked."""
        probes, leaks = probes_of(record, most=self._settings.probes), 0
        try:
            for probe in probes:
                leaks += await self._leaks(model, record, probe)
        except GuardrailError as error:
            _log.warning("verification: '%s' cannot be asked: %s", model, error)
            self._asked_at[model, record.id, record.revision] = time.monotonic() + AGAIN_S - self._span_s
            return False
        passed = bool(probes) and leaks <= self._settings.most_leaks * len(probes)
        await asyncio.to_thread(self._mark, model, record, len(probes), leaks, passed)
        return True

    @property
    def _span_s(self) -> float:
        return self._settings.again_after_hours * 3600

    async def _leaks(self, model: str, record: RegisteredEntry, probe: str) -> bool:
        answer = await self._ask(model, probe)
        passages = [Passage(path=("messages", 0, "content"), role=Role.USER, text=probe)]
        decided = await self._flow.judge(passages, Caller(tenant=_tenant(record), is_admin=True), model)
        return any(leak.entry.id == record.id for leak in await self._flow.inspect_answer(decided, answer))

    def _mark(self, model: str, record: RegisteredEntry, probes: int, leaks: int, passed: bool) -> None:
        data = {"model": model, "revision": record.revision, "probes": probes, "leaks": leaks, "passed": passed}
        self._registry.audit.append([AuditRecord(kind="entry.probed", actor=_ACTOR, subject=record.id, data=data)])
        state = EntryState.VERIFIED if passed else EntryState.CONSOLIDATED
        if record.weights is not state:
            reason = f"{leaks} of {probes} answers of the served weights leak"
            self._registry.mark_weights({record.id: record.revision}, state, actor=_ACTOR, reason=reason)


def probes_of(record: RegisteredEntry, *, most: int) -> list[str]:
    """Questions about an entry, drawn evenly and the same each time."""
    found = list(dict.fromkeys(_probes(record)))
    if len(found) > most:
        found = random.Random(record.id).sample(found, most)
    return found


def _probes(record: RegisteredEntry) -> Iterator[str]:
    entry = record.entry
    yield from (fact.question for fact in entry.facts if fact.question)
    yield from entry.exemplars
    yield f"What do you know about {entry.name}?"


def _tenant(record: RegisteredEntry) -> str:
    """One whom the entry holds for."""
    return next((tenant for tenant in record.entry.scope.tenants if tenant != "*"), "default")
