"""Brings approved weights into the backends that serve, and keeps them there: every process follows the registry's rows.

    row of served weights -> files as approved? -> load under a versioned name -> there? -> map the public name -> say so

A public name is mapped to new weights at once for every request that comes after; one under way ends with those that it
began with. A versioned name and folder is never used twice (vLLM's prefix cache knows an adapter by both). What cannot be
loaded is said (`acknowledge`), and what served before goes on. Weights that a restarted server has lost are loaded again.
It knows neither entries' texts nor how weights came about.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from guardrail.backends.protocol import WeightedBackend
from guardrail.backends.router import HIDDEN, Mapped, Router
from guardrail.errors import GuardrailError
from guardrail.settings import BackendSettings
from retrieval.artifact_files import check_files
from retrieval.artifacts import Artifact, Served
from retrieval.errors import RetrievalError
from retrieval.registry import Registry
from retrieval.served_models import ServedModel

POLL_S: Final = 0.25
LOOK_S: Final = 5.0
"""How often it is looked whether the backends still have what they should, and said that this process lives."""

_log = logging.getLogger("expunge")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A backend with its settings; `own`: the folder or hub id of its own weights, where that is known."""

    settings: BackendSettings
    backend: WeightedBackend | None
    own: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Standing:
    """What this process has made of a row."""

    seq: int
    names: tuple[str, ...]
    covers: Mapping[str, int]
    is_done: bool
    detail: str


class Rollout:
    """One process's part. `start` before the first request."""

    def __init__(self, registry: Registry, router: Router, *, looking: Mapping[str, Any] | None = None) -> None:
        """`looking`: how pictures are looked at here, for whoever judges weights."""
        self._registry, self._router, self._looking = registry, router, dict(looking or {})
        self._places: dict[str, Place] = {}
        self._replica = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._standing: dict[str, _Standing] = {}
        self._seen = -1
        self._looked_at = float("-inf")
        self._task: asyncio.Task[None] | None = None

    async def start(self, places: Sequence[Place]) -> None:
        """What was published before this process began is there before its first request, where it can be."""
        self._places = {one.settings.name: one for one in places}
        await self.follow()
        self._task = asyncio.create_task(self._run(), name="rollout")

    async def stop(self) -> None:
        """End following; what is loaded stays where it is."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    @property
    def speaking(self) -> Sequence[str]:
        """The public models that this process has looked after so far and that answer in words."""
        drawing = {name for name, place in self._places.items() if place.settings.kind == "diffusers_pipeline"}
        by = self._router.served_by()
        return [model for model in self._standing if by.get(model) not in drawing]

    def covers(self, model: str | None) -> Mapping[str, int]:
        """Entries with their revisions in the weights that this process really answers the model's requests with."""
        standing = self._standing.get(model or "")
        return standing.covers if standing is not None and standing.is_done else {}

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            is_time = time.monotonic() - self._looked_at >= LOOK_S
            if not is_time and self._registry.signal.read() == self._seen:
                continue
            try:
                await self.follow()
            except RetrievalError as error:
                _log.warning("rollout: the registry cannot be read: %s", error)

    async def follow(self) -> None:
        """Level with the registry's rows, as far as the backends take part. Raises `RetrievalError`."""
        seen = self._registry.signal.read()
        is_time = time.monotonic() - self._looked_at >= LOOK_S
        if is_time:
            self._looked_at = time.monotonic()
            await self._tell_served()
        wanted = {one.model: one for one in await asyncio.to_thread(self._registry.artifacts.all_served)}
        for model, backend in self._router.served_by().items():
            place = self._places.get(backend)
            if place is not None:
                await self._level(model, place, wanted.get(model), is_time=is_time)
        self._seen = seen

    async def _level(self, model: str, place: Place, served: Served | None, *, is_time: bool) -> None:
        standing = self._standing.get(model)
        seq = served.seq if served is not None else 0
        is_new = standing is None or standing.seq != seq
        if not is_new and not is_time:
            return
        if is_new or not standing or not standing.is_done or not await self._are_there(place, standing.names):
            self._standing[model] = standing = await self._applied(model, place, served)
        await asyncio.to_thread(
            self._registry.artifacts.acknowledge,
            self._replica,
            model,
            seq=seq,
            is_done=standing.is_done,
            detail=standing.detail,
        )

    async def _applied(self, model: str, place: Place, served: Served | None) -> _Standing:
        """The row carried out; where that fails, what was there before stays."""
        seq = served.seq if served is not None else 0
        before = self._standing.get(model)
        try:
            main, canary = await self._artifacts(served)
            names = [await self._brought(place, one) for one in (main, canary) if one is not None]
        except (GuardrailError, RetrievalError) as error:
            _log.error("rollout: '%s' does not get its weights: %s", model, error)
            kept = before or _Standing(seq=seq, names=(), covers={}, is_done=False, detail="")
            return _Standing(seq=seq, names=kept.names, covers={}, is_done=False, detail=str(error))
        self._router.map(
            model,
            Mapped(
                upstream=weights_name(main) if main is not None else None,
                canary=weights_name(canary) if canary is not None else None,
                canary_share=served.canary_share if served is not None else 0.0,
            ),
        )
        await self._unload(place, before, names, served)
        covers = main.made.covers if main is not None and canary is None else {}
        return _Standing(seq=seq, names=tuple(names), covers=covers, is_done=True, detail="")

    async def _artifacts(self, served: Served | None) -> tuple[Artifact | None, Artifact | None]:
        def read(artifact_id: str | None) -> Artifact | None:
            return None if artifact_id is None else self._registry.artifacts.get(artifact_id)

        if served is None:
            return None, None
        return await asyncio.to_thread(read, served.artifact_id), await asyncio.to_thread(read, served.canary_id)

    async def _brought(self, place: Place, artifact: Artifact) -> str:
        """The artifact's name, once the backend has it."""
        name = weights_name(artifact)
        if place.backend is None:
            raise NoWeights(f"the backend '{place.settings.name}' takes no weights")
        await asyncio.to_thread(check_files, artifact.made)
        if not await place.backend.has_weights(name):
            await place.backend.load_weights(name, artifact.made.folder)
            if not await place.backend.has_weights(name):
                raise NoWeights(f"the backend '{place.settings.name}' does not list {name} after it was loaded")
        return name

    async def _are_there(self, place: Place, names: Sequence[str]) -> bool:
        try:
            return not names or (
                place.backend is not None and all([await place.backend.has_weights(name) for name in names])
            )
        except GuardrailError:
            return False

    async def _unload(
        self, place: Place, before: _Standing | None, names: Sequence[str], served: Served | None
    ) -> None:
        """Let go of what neither serves nor would serve after a rollback; answers under way have had time."""
        if before is None or place.backend is None or served is None:
            return
        kept = set(names)
        if served.previous_id is not None:
            with suppress(RetrievalError):
                kept.add(weights_name(await asyncio.to_thread(self._registry.artifacts.get, served.previous_id)))
        for name in set(before.names) - kept:
            with suppress(GuardrailError):
                await place.backend.unload_weights(name)

    async def _tell_served(self) -> None:
        """What consolidation has to know of the models that this process serves."""
        told = {one.model: one for one in await asyncio.to_thread(self._registry.served_models.all)}
        for model, backend in self._router.served_by().items():
            place = self._places.get(backend)
            if place is None:
                continue
            root = self._router.card(model).get("root")
            said = _served_model(model, place, own=place.own or (str(root) if root else None))
            if said.modality == "image":
                drawing = place.settings.drawing.model_dump(
                    include={"steps", "guidance_scale", "size"}, exclude_none=True
                )
                said = said.model_copy(update={"looking": self._looking, "drawing": drawing})
            known = told.get(model)
            if known is None or known.model_copy(update={"told_at": said.told_at}) != said:
                await asyncio.to_thread(self._registry.served_models.put, said)


class NoWeights(GuardrailError):
    """A backend that cannot be given weights, or did not take them."""


def weights_name(artifact: Artifact) -> str:
    """The backend's own name for an artifact: of its own for every version, and never shown to callers."""
    return f"{HIDDEN}{artifact.version}-{artifact.id.removeprefix('wa_')}"


def _served_model(model: str, place: Place, *, own: str | None) -> ServedModel:
    settings = place.settings
    is_pictures = settings.kind == "diffusers_pipeline"
    base, refused = _base_of(settings, own=own)
    return ServedModel(
        model=model,
        backend=settings.name,
        kind=settings.kind,
        modality="image" if is_pictures else "text",
        base=base,
        base_url=settings.base_url,
        upstream=settings.models.get(model, model),
        refused=refused,
    )


def _base_of(settings: BackendSettings, *, own: str | None) -> tuple[str | None, str]:
    """Where a backend's own weights lie, and why none of them can be consolidated, where that is so."""
    if settings.kind == "litellm_provider":
        return None, "the weights are at a provider, out of reach"
    if settings.kind == "echo":
        return None, "echo has no weights"
    if settings.adapter is not None:
        return None, "the backend merges an adapter itself; serve the merged model's folder instead"
    found = str(settings.weights) if settings.weights is not None else own
    if found is None or not Path(found).is_dir():
        return None, "where its weights lie is not known here; set `weights` of the backend to their folder"
    return str(Path(found).resolve()), ""
