"""Read this first for pictures: the request flow of `/v1/images/generations`.

    receive -> detect -> decide -> treat -> draw -> look -> draw anew what shows an entry -> answer

The same registry, gate and policy as for words, for entries that cover pictures. A prompt that nothing was met in is sent
and answered byte by byte, unless the picture shows an entry all the same: then that picture alone is drawn anew with its
own seed, one rung of the ladder stricter each time (`picture_drawing`). The flow knows no HTTP server, no diffusion library
and no embedder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from guardrail.backends.picture_fetch import PictureFetcher
from guardrail.backends.router import Route, Router
from guardrail.decision import Action, Admits, Capability, EvidenceKind, Leak, OnLeak
from guardrail.errors import ApiError, overloaded
from guardrail.flow import Flow
from guardrail.forward import explained
from guardrail.inspectors.image_concept import ImageConcept
from guardrail.journal import Journal, Subject, explanation
from guardrail.picture_drawing import Drawing, Hands, Pictured, Standing, as_it_is
from guardrail.picture_planning import PicturePlanner, concept_of, concepts_of, with_leaked
from guardrail.picture_sending import PictureAsk, passages, send_own
from guardrail.pictures import Drawn, PictureLeak, PicturePlan, Steering
from guardrail.planning import Decided
from guardrail.settings import BackendSettings
from guardrail.treatments.image.prototype import PrototypeBank
from retrieval.entry import EntryState
from retrieval.follower import Follower

MOST_WATCHED: Final = 64
"""Entries that a prompt without any of them is held against, in the order of their ids."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """What prompts in which nothing was met are held against: all entries' ids, and the presence from which one counts."""

    entry_ids: Callable[[], Iterable[str]]
    gate: float

    def steering(self, ask: PictureAsk, admits: Admits) -> Steering | None:
        """Takes out what the prompt turns out to mean, inside the pipeline; below the gate the drawing is left as it is."""
        found = [admits(entry_id) for entry_id in sorted(self.entry_ids())]
        acting = [one for one in found if one is not None and one.state() is not EntryState.SHADOW]
        concepts = [concept_of(entry) for entry in acting[:MOST_WATCHED]]
        return PrototypeBank(gate=self.gate).plan(ask.asked, concepts).steering if concepts else None


class PictureFlow:
    """The flow over its collaborators, which `app` hands in. Without a `watch` a prompt is judged by its words alone."""

    def __init__(
        self,
        *,
        flow: Flow,
        follower: Follower,
        router: Router,
        journal: Journal,
        planner: PicturePlanner,
        inspector: ImageConcept,
        backends: Mapping[str, BackendSettings],
        watch: Watch | None = None,
    ) -> None:
        self._flow = flow
        self._follower = follower
        self._router = router
        self._journal = journal
        self._planner = planner
        self._inspector = inspector
        self._backends = backends
        self._watch = watch

    async def run(self, ask: PictureAsk) -> Pictured:
        """One request from reception to pictures. Raises `ApiError` for everything that is answered with an error."""
        await self._follower.catch_up()
        route = await self.route(ask.body.get("model"))
        if not self._follower.covers(tenant=ask.caller.tenant, model=route.model):
            return as_it_is(await send_own(ask, route))
        decided, standing = await self.decide(ask, route)
        self._flow.record(decided, ask.caller, ask.request_id, endpoint="images", model=route.model)
        if decided.decision.action is Action.FAIL_CLOSED:
            raise overloaded("The service cannot take this request at the moment.", retry_after_s=2.0)
        if decided.decision.action is Action.REFUSE:
            raise self._refusal()
        pictured = await self._drawn(ask, route, decided, standing)
        if not ask.explain:
            return pictured
        told = explanation(decided.decision, shape=decided.question.shape.value, took_ms=decided.took_ms)
        headers = [*pictured.album.headers, *explained(told)]
        return replace(pictured, album=replace(pictured.album, headers=headers))

    async def route(self, model: object) -> Route:
        """The route of a model that draws. Raises `ApiError` (400, 404)."""
        route = await self._router.route(model)
        if Capability.IMAGES not in route.backend.capabilities:
            raise ApiError("This model draws no pictures.", param="model", code="unsupported_value")
        return route

    async def decide(self, ask: PictureAsk, route: Route) -> tuple[Decided, Standing]:
        """What was found in a prompt, and how it is treated; also the dry run's way.

        A prompt hands nothing in: whatever stands in it is asked for.
        """
        decided = await self._flow.judge(passages(ask), ask.caller, route.model, modality="image")
        decision = decided.decision
        if decision.action is Action.FAIL_CLOSED or decision.reason == "supplied_context":
            return decided, Standing(plan=None)
        met = (*decision.detections, *decision.supplied)
        concepts = concepts_of(met)
        plan = self._planner.plan(ask.asked, concepts, route.backend.capabilities)
        if plan is None:
            return decided, Standing(plan=None, watch=self._watching(ask, route, decided))
        action = Action.REFUSE if plan.refusal is not None else Action.TREAT
        decision = replace(decision, action=action, treatment=plan.treatment, detections=met, supplied=())
        return replace(decided, decision=decision), Standing(plan=plan, concepts=concepts)

    def stricter(self, ask: PictureAsk, route: Route, standing: Standing, leaks: Sequence[PictureLeak]) -> Standing:
        """One rung down the ladder, for the concepts met and those that showed."""
        can = route.backend.capabilities
        plan = self._planner.stricter(standing.plan, ask.asked, standing.concepts, leaks, can)
        if plan.refusal is not None:  # an entry that the prompt did not meet: an open refusal would tell of it
            plan = PicturePlan(treatment="blank", is_blank=True, entry_ids=plan.entry_ids)
        return Standing(plan=plan, concepts=with_leaked(standing.concepts, leaks))

    @property
    def looks(self) -> bool:
        """True if finished pictures are looked at."""
        return self._inspector.is_on()

    def _watching(self, ask: PictureAsk, route: Route, decided: Decided) -> Steering | None:
        if self._watch is None or Capability.STEERING not in route.backend.capabilities:
            return None
        return self._watch.steering(ask, decided.admits)

    async def _drawn(self, ask: PictureAsk, route: Route, decided: Decided, standing: Standing) -> Pictured:
        subject = Subject(request_id=ask.request_id, endpoint="images", model=route.model, caller=ask.caller)

        async def look(pictures: Sequence[Drawn]) -> list[PictureLeak]:
            """What they show of entries that are acted on."""
            found = await self._inspector.leaks(pictures, decided.admits)
            return [leak for leak in found if leak.entry.state() is not EntryState.SHADOW]

        def note(leaks: Sequence[PictureLeak]) -> None:
            for leak in leaks:
                told = Leak(entry=leak.entry, kind=EvidenceKind.PICTURE, start=0, end=0)
                self._journal.leaked(subject, told, OnLeak.REWRITE)

        hands = Hands(
            look=look if self.looks else None,
            note=note,
            stricter=lambda before, leaks: self.stricter(ask, route, before, leaks),
            fetcher=lambda: self._fetcher(route),
        )
        pictured = await Drawing(ask, route, hands).run(standing)
        if standing.plan is not None or not pictured.is_own:
            self._journal.answered(by_model=True)
        return pictured

    def _fetcher(self, route: Route) -> PictureFetcher:
        """What brings pictures that this backend answers by address."""
        settings = self._backends.get(route.backend.name)
        if settings is None:
            return PictureFetcher()
        return PictureFetcher(base_url=settings.base_url, hosts=settings.picture_hosts)

    def _refusal(self) -> ApiError:
        """OpenAI's image API knows no other way to refuse than an error."""
        return ApiError(self._flow.policy.refusal_text, status=400, code="content_policy_violation", should_retry=False)
