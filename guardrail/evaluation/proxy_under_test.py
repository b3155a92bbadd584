"""The proxy that is judged: entries registered as the admin API does it, probes judged as the data plane does it.

A real `Proxy` over a folder of its own, with a backend that is never asked. What a text's embedding was is not kept, so
no probe profits from another, and the times are those of texts that were never seen. Answers are inspected as those of a
request that was let through: what the inspectors catch by themselves. Times are in milliseconds (`_ms`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Final

from guardrail.app import Proxy
from guardrail.backends.echo import Echo
from guardrail.decision import Action, Caller, Leak
from guardrail.errors import ApiError, EvaluationFailed
from guardrail.evaluation.inputs import KnownEntry, Probe
from guardrail.evaluation.outcomes import Outcome
from guardrail.openai_wire import WIRE_FORMATS
from guardrail.planning import Decided
from guardrail.settings import BackendSettings, Settings
from retrieval.registry import Created
from retrieval.searcher import SNAPSHOT_FILE, Searcher

_CALLER: Final = Caller()
_MODEL: Final = "evaluated"
_LONGEST_DETECTION_S: Final = 120.0
_LOOK_AGAIN_S: Final = 0.1


class ProxyUnderTest:
    """`start`, `register`, `judge` one probe after the other, `stop`. All on one event loop."""

    def __init__(
        self,
        settings: Settings,
        entries: Sequence[KnownEntry],
        data_dir: Path,
        *,
        keeps_memory: bool,
        searcher: Searcher | None = None,
    ) -> None:
        """`keeps_memory`: this process registers and embeds; the others follow it. `searcher` stands in for the real."""
        self._settings = _as_judged(settings, data_dir)
        self._entries = entries
        self._names = {str(known.entry.id): known.id for known in entries}
        self._keeps_memory = keeps_memory
        backend = BackendSettings(name="echo", kind="echo")
        self._proxy = Proxy(self._settings, backends=[(backend, Echo(backend))], searcher=searcher)

    async def start(self) -> None:
        """Load the embedder and what is registered already."""
        await self._proxy.start(keeps_memory=self._keeps_memory)

    async def stop(self) -> None:
        """Free everything."""
        await self._proxy.stop(keeps_memory=self._keeps_memory)

    @property
    def fingerprint(self) -> str:
        """Tells whose vectors decide."""
        return self._proxy.searcher.fingerprint

    async def register(self, added: Callable[[float], None]) -> None:
        """Register the entries that are not there yet; `added` is told how long each took to be enforced."""
        for known in self._entries:
            started = perf_counter()
            created = await asyncio.to_thread(self._store, known)
            await self._proxy.follower.catch_up()
            if created.is_new:
                added((perf_counter() - started) * 1e3)
                self._proxy.memory.schedule(created.record)

    def _store(self, known: KnownEntry) -> Created:
        memory = self._proxy.searcher.embed_memory(known.entry)
        return self._proxy.registry.create(known.entry, actor="evaluation", memory=memory)

    async def build_memory(self, waiting: Callable[[int], None]) -> None:
        """Wait until the memory of every document is in force; `waiting` is told how many are left."""
        while left := self._proxy.memory.waiting:
            waiting(left)
            await asyncio.sleep(_LOOK_AGAIN_S)
        await self._proxy.follower.catch_up()
        if not self.fingerprint:
            return
        for known in self._entries:
            if not self._proxy.registry.memory_ready(str(known.entry.id), self.fingerprint):
                raise EvaluationFailed(f"The memory of the entry '{known.id}' was not built; the log above says why.")

    def index_bytes(self) -> int | None:
        """Size of the index as it is saved; None without an embedder."""
        folder = self._settings.retrieval.data_dir
        self._proxy.searcher.save_snapshot(folder)
        path = folder / SNAPSHOT_FILE
        return path.stat().st_size if path.exists() else None

    async def judge(self, probe: Probe) -> Outcome:
        """What becomes of one probe. Raises `EvaluationFailed` where a detector could not say."""
        passages = WIRE_FORMATS[probe.endpoint]().passages(dict(probe.body))
        decided = await self._proxy.flow.judge(passages, _CALLER, _MODEL)
        decision = decided.decision
        if decision.reason.startswith("detector_failed"):
            raise EvaluationFailed(f"Probe '{probe.id}' (line {probe.number}): {decision.reason}.")
        caught = decision.action is not Action.PASS
        scores = {self._names[one.entry.id]: one.score for one in decision.detections} if caught else {}
        leaks = await self._leaks(probe, decided) if probe.answer.strip() else None
        return Outcome(
            number=probe.number,
            id=probe.id,
            group=probe.group,
            is_expected=bool(probe.expect),
            caught=caught,
            score=max([*scores.values(), *(one.score for one in decision.suspects)], default=0.0),
            entries=tuple(scores),
            is_right=any(entry_id in scores for entry_id in probe.expect),
            is_best=any(scores.get(entry_id) == max(scores.values()) for entry_id in probe.expect) if scores else False,
            told=None if leaks is None else bool(leaks),
            told_entries=tuple(dict.fromkeys(self._names[leak.entry.id] for leak in leaks or ())),
            ms=round(decided.took_ms, 3),
        )

    async def _leaks(self, probe: Probe, decided: Decided) -> list[Leak]:
        """What the inspectors find in the answer, had the request been let through."""
        decision = decided.decision
        watched = (*decision.detections, *decision.suspects)
        passed = replace(decision, action=Action.PASS, treatment=None, detections=(), suspects=watched)
        try:
            return await self._proxy.flow.inspect_answer(replace(decided, decision=passed), probe.answer)
        except ApiError as error:
            # An answer that is held back because nothing could be said of it is no finding.
            raise EvaluationFailed(f"The answer of probe '{probe.id}' (line {probe.number}): {error}") from error


def _as_judged(settings: Settings, data_dir: Path) -> Settings:
    """The same settings over a folder of its own, without memory of texts, with time for a busy machine, failures told."""
    retrieval = settings.retrieval.model_copy(update={"data_dir": data_dir, "embed_cache_entries": 0})
    longest = max(settings.policy.detector_timeout_s, _LONGEST_DETECTION_S)
    policy = settings.policy.model_copy(update={"detector_timeout_s": longest, "detector_failure": "fail_closed"})
    return settings.model_copy(update={"retrieval": retrieval, "policy": policy})
