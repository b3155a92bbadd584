"""Warm-up: what a pipeline must know of an entry is got ready when it is registered, so that no request waits for it.

Whoever changes the registry says `schedule` and goes on at once: an entry is enforced from the next request, whether its
warm-up is done or not. All entries in force that cover pictures are handed over in one go, the latest changed first, in the
place of what was handed over before; backends that draw work on them while nobody waits. It knows no queue and no pipeline.
Times in seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol, runtime_checkable

from guardrail.decision import Capability
from guardrail.denoising.preparation import Preparation
from guardrail.picture_planning import PicturePlanner, concept_of
from guardrail.pictures import PictureRequest
from guardrail.treatments.image.prototype import PrototypeBank
from retrieval.entry import RegisteredEntry

MOST_WARMED: Final = 256
"""Entries; the others' first requests wait for them."""
SETTLE_S: Final = 0.2
"""Changes that come within it are handed over together."""

_log = logging.getLogger("expunge")


@runtime_checkable
class Warmed(Protocol):
    """A backend that gets things ready while nobody waits."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What it can do."""
        ...

    def prepare(self, preparations: Sequence[Preparation]) -> None:
        """What to get ready, in the place of what was told before. Does not wait."""
        ...


class PictureWarming:
    """See the module. `entries`: those in the registry, by id. `is_watched`: prompts are held against all of them."""

    def __init__(
        self,
        *,
        planner: PicturePlanner,
        backends: Sequence[Any],
        entries: Callable[[], Mapping[str, RegisteredEntry]],
        is_watched: bool = False,
    ) -> None:
        self._planner = planner
        self._backends = [backend for backend in backends if isinstance(backend, Warmed)]
        self._entries = entries
        self._is_watched = is_watched
        self._is_wanted = False
        self._task: asyncio.Task[None] | None = None

    def schedule(self) -> None:
        """After the start and after every change of the registry; returns at once. On the event loop."""
        if not self._backends:
            return
        self._is_wanted = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Nothing more is handed over."""
        self._is_wanted = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._is_wanted:
            await asyncio.sleep(SETTLE_S)
            self._is_wanted = False
            entries = list(self._entries().values())
            for backend in self._backends:
                try:
                    backend.prepare(await asyncio.to_thread(self._preparations, entries, backend.capabilities))
                except Exception as error:  # noqa: BLE001 - requests do without it
                    _log.warning("entries were not got ready for drawing (%s)", type(error).__name__)

    def _preparations(self, entries: Sequence[RegisteredEntry], can: frozenset[Capability]) -> list[Preparation]:
        now = datetime.now(UTC)
        found = [one for one in entries if one.is_enforced(now) and "image" in one.entry.modalities]
        found.sort(key=lambda one: one.updated_at, reverse=True)
        return [ready for one in found[:MOST_WARMED] for ready in self._of(one, can)]

    def _of(self, entry: RegisteredEntry, can: frozenset[Capability]) -> list[Preparation]:
        """What the first treatment of an entry needs, and what watching for it needs."""
        concepts, nothing = [concept_of(entry)], PictureRequest(prompt="")
        plan = self._planner.plan(nothing, concepts, can)
        needed: list[object] = [plan.steering if plan is not None else None]
        if self._is_watched and Capability.STEERING in can:
            needed.append(PrototypeBank().plan(nothing, concepts).steering)
        return [one for one in needed if isinstance(one, Preparation)]
