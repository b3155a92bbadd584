"""The composition root: builds every collaborator from the settings and hands each what it needs.

The only module that knows them all. `Proxy` is one process's proxy: two ASGI apps (data plane, admin) over one registry,
one searcher and the backends. It starts no server; `guardrail.server` does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any

from guardrail.api.data_plane import DataPlane
from guardrail.api.endpoint import Services
from guardrail.app_pictures import known_picture_treatments, picture_flow, picture_inputs, picture_warming
from guardrail.auth import Authenticator
from guardrail.backends import create
from guardrail.backends.protocol import Backend, EditedBackend, WeightedBackend
from guardrail.backends.router import Router
from guardrail.backends.watched import FailureKind, Watched
from guardrail.decision import Caller
from guardrail.detectors import DETECTORS
from guardrail.detectors.cascade import Cascade
from guardrail.dry_run import explain_match
from guardrail.elicitation.worker import Collaborators, Elicitation
from guardrail.errors import ConfigError
from guardrail.flow import Flow
from guardrail.forward import ask_model
from guardrail.journal import Journal
from guardrail.memory_builder import MemoryBuilder
from guardrail.metrics import Metrics
from guardrail.picture_shelf import PictureShelf
from guardrail.planning import Planner
from guardrail.policy import CHOOSES, LADDER, parts_of
from guardrail.rollout import Place, Rollout
from guardrail.settings import BackendSettings, Settings
from guardrail.treatments.embeds_in import Corrupt
from guardrail.treatments.image import PICTURE_TREATMENTS
from guardrail.treatments.text import TREATMENTS
from guardrail.verification import TOKENS as PROBE_TOKENS
from guardrail.verification import Verification
from retrieval.audit_log import AuditWriter
from retrieval.entry import EntryKind, EntryState, RegisteredEntry
from retrieval.errors import RetrievalError
from retrieval.follower import Follower
from retrieval.pictures import PictureBook
from retrieval.registry import Registry
from retrieval.searcher import Searcher

_log = logging.getLogger("expunge")


class Proxy:
    """Everything that one process serves with. `start` before the first request, `stop` after the last."""

    def __init__(
        self,
        settings: Settings,
        *,
        backends: list[tuple[BackendSettings, Backend]] | None = None,
        searcher: Searcher | None = None,
        pictures: PictureBook | None = None,
    ) -> None:
        """`backends`, `searcher` and `pictures` stand in for what the settings name."""
        self.settings = settings
        _check_treatments(settings)
        self.registry = Registry.open(settings.retrieval.data_dir)
        self.searcher = searcher or Searcher(settings.retrieval)
        self.pictures = pictures or PictureBook(settings.retrieval)
        self.follower = Follower(
            self.registry, self.searcher, pictures=self.pictures, only_watch=settings.policy.shadow
        )
        served = backends or [(one, create(one, cache_dir=settings.retrieval.cache_dir)) for one in settings.backends]
        self.router = Router([(one, Watched(backend, self._backend_failed)) for one, backend in served])
        self._served = served
        looking = settings.retrieval.model_dump(mode="json", exclude_defaults=True)
        looking = {name: value for name, value in looking.items() if name.startswith("picture_")}
        self.rollout = Rollout(self.registry, self.router, looking=looking)
        self._tripping: set[asyncio.Task[None]] = set()
        self._edited = {one.name: backend for one, backend in served if isinstance(backend, EditedBackend)}
        self._corrupt_of: dict[str, Corrupt] = {}
        names = [backend.name for backend in self.router.backends]
        self.metrics = Metrics(treatments=(*TREATMENTS, *LADDER.values(), *known_picture_treatments()), backends=names)
        self.audit = AuditWriter(self.registry.audit)
        self.memory = MemoryBuilder(self.registry, self.searcher)
        self.elicitation = Elicitation(
            self.registry,
            Collaborators(ask=self._ask_model, embed=self.searcher.embed_memory, build_memory=self.memory.schedule),
            timeout_s=settings.memory.elicitation_timeout_s,
        )
        self._counted = (0, 0, 0)
        cascade = Cascade(
            [make(self.searcher) for make in DETECTORS.values()],
            timeout_s=settings.policy.detector_timeout_s,
            observe=self._observe,
        )
        journal = Journal(settings.audit, self.audit, self.metrics, tripped=self._tripped)
        self.flow = Flow(
            settings=settings,
            follower=self.follower,
            searcher=self.searcher,
            cascade=cascade,
            router=self.router,
            planner=Planner(policy=settings.policy, naming_key=self.registry.naming_key, corrupt_of=self._corrupt_of),
            journal=journal,
            picture_inputs=picture_inputs(settings, self.pictures),
            rests=self._rests,
        )
        self.verification = Verification(
            self.registry, settings.consolidation, flow=self.flow, rollout=self.rollout, ask=self._ask_weights
        )
        self.authenticator = Authenticator(self.registry, required=settings.auth.required)
        self.picture_flow = picture_flow(
            settings,
            self.flow,
            router=self.router,
            follower=self.follower,
            journal=journal,
            book=self.pictures,
            entry_ids=lambda: self.searcher.entries,
        )
        self.warming = picture_warming(settings, [one for _, one in served], lambda: self.searcher.entries)
        services = Services(
            settings=settings,
            flow=self.flow,
            router=self.router,
            follower=self.follower,
            picture_flow=self.picture_flow,
            shelf=PictureShelf() if settings.server.workers == 1 else None,
        )
        self.data_app = DataPlane(services, self.authenticator, self.metrics)

    async def start(self, *, keeps_memory: bool = True) -> None:
        """Load the embedder, follow the registry, start the backends. `keeps_memory`: this process embeds entries."""
        await self.searcher.start()
        await self.pictures.start()
        if keeps_memory:
            await self.memory.start()
        data_dir = self.settings.retrieval.data_dir
        snapshot = self.searcher.load_snapshot(data_dir, registry_seq=self.registry.seq())
        await self.follower.start(snapshot or 0)
        for backend in self.router.backends:
            await backend.start()
        for settings, _ in self._served:
            await self._read_embeddings(settings)
        await self.router.refresh()
        await self.rollout.start(await asyncio.to_thread(self._places))
        if keeps_memory and self._elicits:
            await self.elicitation.start()
        if keeps_memory:
            await self.verification.start()
        if not keeps_memory or self._is_alone:
            self.warming.schedule()
        self._gauge()

    async def _read_embeddings(self, backend: BackendSettings) -> None:
        """Open the served model's input embeddings, where they are known: what `eco` works on."""
        own = None
        if backend.kind == "transformers_local":
            own = await asyncio.to_thread(own_weights, backend, self.settings.retrieval.cache_dir)
        folder = backend.embeddings or (Path(own) if own is not None else None)
        if folder is None:
            return
        from guardrail.decoding.prompt_embeds import EmbeddingTable, UnreadableEmbeddingsError

        try:
            self._corrupt_of[backend.name] = (await asyncio.to_thread(EmbeddingTable.open, folder)).wire_form
        except UnreadableEmbeddingsError as error:
            if backend.embeddings is not None:
                raise ConfigError(f"backends: '{backend.name}', embeddings: {error}") from None
            _log.info("backend '%s' takes no corrupted prompts (eco): %s", backend.name, error)

    def _places(self) -> list[Place]:
        """The backends, as far as they can be given weights, and where their own lie."""
        return [
            Place(
                settings=settings,
                backend=backend if isinstance(backend, WeightedBackend) else None,
                own=own_weights(settings, self.settings.retrieval.cache_dir),
            )
            for settings, backend in self._served
        ]

    async def stop(self, *, keeps_memory: bool = True) -> None:
        """Flush what is written down and free everything."""
        await self.verification.stop()
        await self.rollout.stop()
        await self.warming.stop()
        await self.elicitation.stop()
        await self.memory.stop()
        for backend in self.router.backends:
            await backend.aclose()
        self.audit.close()
        if keeps_memory:
            try:
                self.searcher.save_snapshot(self.settings.retrieval.data_dir)
            except OSError as error:  # the next start embeds or reads again what the snapshot would have held
                _log.error("the index snapshot was not written: %s", error.strerror)
        await self.pictures.aclose()
        await self.searcher.aclose()
        self.registry.close()

    def admin_app(self) -> Any:
        """The admin listener's app (FastAPI; imported only by the process that serves it)."""
        from guardrail.api.admin.app import build_admin_app
        from guardrail.api.admin.services import AdminServices
        from guardrail.api.admin.treatment_table import check_values, known_treatments

        services = AdminServices(
            settings=self.settings,
            registry=self.registry,
            embed=self.searcher.embed_memory,
            after_change=self._after_change,
            build_memory=self._build_memory,
            explain_match=self._explain,
            treatments=known_treatments(),
            check_values=check_values,
            readiness=self.readiness,
            metrics_text=self.metrics_text,
            registered=self.metrics.registered,
            edited_backends=self._edited,
        )
        return build_admin_app(services)

    async def readiness(self) -> dict[str, Any]:
        """Details for `/readyz`: ready while the registry can be followed and some backend answers."""
        await self.follower.catch_up()
        health = {backend.name: await backend.health() for backend in self.router.backends}
        return {
            "ready": any(one.ok for one in health.values()),
            "registry": {"seq": self.follower.seq, "entries": len(self.searcher.entries)},
            "embedder": self.settings.retrieval.embedder,
            "memory_building": self.memory.waiting + self.elicitation.waiting,
            "backends": {name: {"ok": one.ok, "detail": one.detail, **one.facts} for name, one in health.items()},
        }

    def metrics_text(self) -> bytes:
        """All metrics, with the gauges brought up to date."""
        self._gauge()
        return self.metrics.text()

    def _build_memory(self, record: RegisteredEntry) -> None:
        self.memory.schedule(record)
        if self._elicits:
            self.elicitation.schedule(record)

    @property
    def _is_alone(self) -> bool:
        """True where one process does all; else the one that changes entries draws nothing."""
        return self.settings.server.workers == 1

    @property
    def _elicits(self) -> bool:
        return self.settings.memory.elicitation and bool(self.searcher.fingerprint)

    async def _ask_model(self, prompt: str) -> str:
        model = self.settings.memory.elicitation_model
        if model is None:
            model = next((str(card["id"]) for card in await self.router.cards()), None)
        route = await self.router.route(model)
        return await ask_model(route, prompt, max_tokens=self.settings.memory.elicitation_tokens)

    async def _ask_weights(self, model: str, prompt: str) -> str:
        return await ask_model(await self.router.route(model), prompt, max_tokens=PROBE_TOKENS)

    def _rests(self, record: RegisteredEntry, model: str | None) -> bool:
        """Verified, and covered by what this process really answers the model with."""
        is_verified = record.weights is EntryState.VERIFIED
        return is_verified and self.rollout.covers(model).get(record.id) == record.revision

    def _tripped(self, record: RegisteredEntry) -> None:
        """An entry whose treatment rested was about to leak: it is treated in full again, from the next request on."""
        if record.weights is not EntryState.VERIFIED:
            return
        back = asyncio.to_thread(
            self.registry.mark_weights,
            {record.id: record.revision},
            EntryState.CONSOLIDATED,
            actor="tripwire",
            reason="an answer was about to leak",
        )
        task = asyncio.ensure_future(_quietly(back))
        self._tripping.add(task)
        task.add_done_callback(self._tripping.discard)

    async def _after_change(self) -> None:
        await self.follower.catch_up()
        await self.pictures.learn(())  # so that no request has to wait for reference pictures
        if self._is_alone:
            self.warming.schedule()
        self._gauge()

    async def _explain(self, body: Mapping[str, Any], caller: Caller) -> Mapping[str, Any]:
        await self.follower.catch_up()
        return await explain_match(self.flow, body, caller, self.picture_flow)

    def _observe(self, detector: str, seconds: float) -> None:
        self.metrics.detector("lexical" if detector == "lexical" else "encoder", seconds)
        if detector != "lexical":
            self._count_texts()

    def _count_texts(self) -> None:
        """Bring the counts of the first tier and of the audit queue up to date."""
        settled, encoded, dropped = self.searcher.settled_by_first_tier, self.searcher.texts_encoded, self.audit.dropped
        before = self._counted
        self._counted = (settled, encoded, dropped)
        if settled > before[0]:
            self.metrics.first_tier("settled", settled - before[0])
        if encoded > before[1]:
            self.metrics.first_tier("encoded", encoded - before[1])
        if dropped > before[2]:
            self.metrics.audit_dropped(dropped - before[2])

    def _backend_failed(self, backend: str, kind: FailureKind) -> None:
        self.metrics.backend_error(backend, kind)

    def _gauge(self) -> None:
        self._count_texts()
        self.metrics.entries_enforced(len(self.searcher.entries), seq=self.follower.seq)


def _check_treatments(settings: Settings) -> None:
    """Raises `ConfigError` for a treatment that does not exist, before it fails a request."""
    named = {"treatment": settings.policy.treatment}
    named |= {f"treatments_by_kind.{kind}": name for kind, name in settings.policy.treatments_by_kind.items()}
    for key, name in named.items():
        served = (TREATMENTS.keys(), PICTURE_TREATMENTS.keys())
        if name != CHOOSES and not any(set(parts_of(name)) <= family for family in served):
            known = ", ".join(dict.fromkeys((CHOOSES, *TREATMENTS, *PICTURE_TREATMENTS)))
            raise ConfigError(
                f"policy.{key}: unknown treatment '{name}'; known: {known} (several: \"stand_in+restrict\")"
            )
    for kind in settings.policy.treatments_by_kind:
        if kind not in set(EntryKind):
            raise ConfigError(f"policy.treatments_by_kind: unknown kind '{kind}'; known: {', '.join(EntryKind)}")


async def _quietly(marking: Awaitable[object]) -> None:
    """A registry that cannot be written just now: the answer was caught all the same, and the next leak tells it again."""
    try:
        await marking
    except RetrievalError as error:
        _log.error("an entry that leaked could not be marked: %s", error)


def own_weights(backend: BackendSettings, cache_dir: Path) -> str | None:
    """The folder of an embedded model's weights; None for one that a hub or a server has."""
    if backend.kind == "diffusers_pipeline":
        from guardrail.backends.diffusers_loading import PACKAGED as SHAPES
        from guardrail.backends.diffusers_loading import PACKAGED_FOLDER

        folder = PACKAGED_FOLDER if (backend.model or SHAPES) == SHAPES else Path(backend.model or "").expanduser()
    elif backend.kind == "transformers_local":
        from guardrail.backends.local_model import PACKAGED, resolve

        folder = Path(resolve(backend.model or PACKAGED, cache_dir=cache_dir))
    else:
        return None
    return str(folder) if folder.is_dir() else None


def serve(settings: Settings) -> None:
    """Run the proxy until it is told to stop."""
    from guardrail.server import run

    run(settings, Proxy)
