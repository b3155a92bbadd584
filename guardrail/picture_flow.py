"""Read this first for pictures: the request flow of `/v1/images/generations` and `/v1/images/edits`.

    receive -> detect -> decide -> treat -> draw -> look -> draw anew what shows an entry -> answer

The same registry, gate and policy as for words, for entries that cover pictures. A prompt that nothing was met in is sent
and answered byte by byte, unless the picture shows an entry all the same: then that picture alone is drawn anew with its
own seed, one rung of the ladder stricter each time (`picture_drawing`). With a `watch`, entries that were not met are
looked for inside the pipeline as well. Plans are made in a thread, as long prompts take time. The flow knows no HTTP
server, no diffusion library and no embedder.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from guardrail.backends.picture_fetch import PictureFetcher
from guardrail.backends.router import Route, Router
from guardrail.decision import Action, Admits, Capability, Detection, EvidenceKind, Leak, OnLeak, Passage
from guardrail.errors import ApiError, overloaded
from guardrail.flow import Flow
from guardrail.forward import explained
from guardrail.inspectors.image_concept import ImageConcept
from guardrail.journal import Journal, Subject, explanation
from guardrail.picture_drawing import Drawing, Hands, Pictured, Standing, as_it_is
from guardrail.picture_planning import PicturePlanner, concept_of, concepts_of, with_leaked
from guardrail.picture_sending import PictureAsk, as_read, handed_in, passages, refuse_unreadable, send_own
from guardrail.pictures import Concept, Drawn, PictureLeak, PicturePlan, Steering
from guardrail.planning import Decided
from guardrail.settings import BackendSettings
from guardrail.treatments.image.prototype import PrototypeBank
from retrieval.entry import EntryState
from retrieval.follower import Follower

MOST_WATCHED: Final = 64
"""Entries that one prompt is held against, in the order of their ids."""
_log = logging.getLogger("expunge")


class Watch:
    """What prompts are held against besides the entries met in them: all entries' ids, and the presence from which one
    counts. Asked in threads."""

    def __init__(self, *, entry_ids: Callable[[], Collection[str]], gate: float) -> None:
        self._entry_ids = entry_ids
        self._gate = gate
        self._told = MOST_WATCHED

    def steering(self, ask: PictureAsk, admits: Admits, met: Collection[str] = ()) -> Steering | None:
        """Takes out what the prompt turns out to mean, inside the pipeline; below the gate the drawing is left as it is."""
        found = [admits(entry_id) for entry_id in sorted(self._entry_ids()) if entry_id not in met]
        acting = [one for one in found if one is not None and one.state() is not EntryState.SHADOW]
        if len(acting) > self._told:
            self._told = len(acting)
            _log.warning("policy.picture_gate: prompts are held against %d entries of %d", MOST_WATCHED, len(acting))
        concepts = [concept_of(entry) for entry in acting[:MOST_WATCHED]]
        return PrototypeBank(gate=self._gate).plan(ask.asked, concepts).steering if concepts else None


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
        route = await self.route(ask.body.get("model"), is_edit=ask.is_edit)
        if not self._follower.covers(tenant=ask.caller.tenant, model=route.model):
            return as_it_is(await send_own(ask, route))
        if self._follower.acts(tenant=ask.caller.tenant, model=route.model):
            refuse_unreadable(ask)
        ask = as_read(ask)
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

    async def route(self, model: object, *, is_edit: bool = False) -> Route:
        """The route of a model that draws, or changes pictures. Raises `ApiError` (400, 404)."""
        route = await self._router.route(model)
        if (Capability.EDITS if is_edit else Capability.IMAGES) not in route.backend.capabilities:
            what = "changes" if is_edit else "draws"
            raise ApiError(f"This model {what} no pictures.", param="model", code="unsupported_value")
        return route

    async def decide(self, ask: PictureAsk, route: Route) -> tuple[Decided, Standing]:
        """What was found in a prompt, and how it is treated; also the dry run's way.

        A prompt hands nothing in: whatever stands in it is asked for, and so is what a picture to be changed shows.
        """
        decided = await self._flow.judge(
            passages(ask), ask.caller, route.model, modality="image", pictures=handed_in(ask)
        )
        decision = decided.decision
        if decision.action is Action.FAIL_CLOSED or decision.reason == "supplied_context":
            return decided, Standing(plan=None)
        met = (*decision.detections, *decision.supplied)
        concepts = concepts_of(met)
        can = route.backend.capabilities
        plan = await asyncio.to_thread(self._planner.plan, ask.asked, concepts, can) if concepts else None
        watch = await self._watching(ask, route, decided, concepts)
        if plan is None:
            return decided, Standing(plan=None, watch=watch)
        action = Action.REFUSE if plan.refusal is not None else Action.TREAT
        decision = replace(decision, action=action, treatment=plan.treatment, detections=met, supplied=())
        standing = Standing(plan=plan, concepts=concepts, watch=watch, met_in=_met_in(met, decided.passages))
        return replace(decided, decision=decision), standing

    def stricter(self, ask: PictureAsk, route: Route, standing: Standing, leaks: Sequence[PictureLeak]) -> Standing:
        """One rung down the ladder, for the concepts met and those that showed."""
        can = route.backend.capabilities
        plan = self._planner.stricter(standing.plan, ask.asked, standing.concepts, leaks, can)
        if plan.refusal is not None:  # an entry that the prompt did not meet: an open refusal would tell of it
            plan = PicturePlan(treatment="blank", is_blank=True, entry_ids=plan.entry_ids)
        return replace(standing, plan=plan, concepts=with_leaked(standing.concepts, leaks))

    @property
    def looks(self) -> bool:
        """True if finished pictures are looked at."""
        return self._inspector.is_on()

    async def _watching(
        self, ask: PictureAsk, route: Route, decided: Decided, concepts: Sequence[Concept]
    ) -> Steering | None:
        if self._watch is None or Capability.STEERING not in route.backend.capabilities:
            return None
        met = {concept.entry.id for concept in concepts}
        return await asyncio.to_thread(self._watch.steering, ask, decided.admits, met)

    def _unwatched(self) -> None:
        """A watch failed: as where any detector fails."""
        mode = self._flow.policy.detector_failure
        self._journal.detector_failed("image", mode)
        if mode == "fail_closed":
            raise overloaded("The service cannot take this request at the moment.", retry_after_s=2.0)

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
            stricter=lambda before, leaks: asyncio.to_thread(self.stricter, ask, route, before, leaks),
            fetcher=lambda: self._fetcher(route),
            unwatched=self._unwatched,
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
        return PictureFetcher(base_url=settings.base_url, hosts=settings.picture_hosts, key=settings.api_key())

    def _refusal(self) -> ApiError:
        """OpenAI's image API knows no other way to refuse than an error."""
        return ApiError(self._flow.policy.refusal_text, status=400, code="content_policy_violation", should_retry=False)


def _met_in(met: Sequence[Detection], passages: Sequence[Passage]) -> frozenset[object]:
    """The fields besides the prompt in which entries were met."""
    places = {item.passage for detection in met for item in detection.evidence}
    return frozenset(passages[place].path[0] for place in places if 0 < place < len(passages))
