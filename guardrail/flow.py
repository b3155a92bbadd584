"""Read this first: the request flow.

    receive -> detect -> decide -> treat -> forward -> stream -> inspect output

`Flow.run` is the order of things and nothing else; each step is a call into the family that knows it. A request for
whose caller nothing is to be forgotten goes through byte by byte. The flow knows no HTTP server and no store.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from guardrail.backends.protocol import BackendAnswer
from guardrail.backends.router import Route, Router
from guardrail.decision import (
    Action,
    Admits,
    Caller,
    Leak,
    OnLeak,
    Passage,
    TreatedRequest,
    TreatmentPlan,
)
from guardrail.detectors.cascade import Cascade, DetectorFailure, merged
from guardrail.detectors.pictures import PictureInputs
from guardrail.errors import overloaded
from guardrail.forward import Request, Sent, answered_headers, explained, send_counted, send_untouched
from guardrail.inspection import Inspection
from guardrail.inspectors.jury import Court
from guardrail.journal import Journal, Subject, explanation
from guardrail.openai_wire import WIRE_FORMATS
from guardrail.openai_wire.picture_inputs import PictureInput, pictures_in
from guardrail.openai_wire.picture_parts import asks_for_pictures, pictures_elsewhere
from guardrail.openai_wire.protocol import Body, WireFormat, channel_key
from guardrail.planning import Decided, Foreseen, Planner, may_begin_anew
from guardrail.policy import decide, next_rung, on_failure
from guardrail.replies import Outgoing, speak
from guardrail.settings import PolicySettings, Settings
from guardrail.streaming.answers import find_leaks
from guardrail.streaming.delivery import Attempt, deliver_stream, deliver_whole
from guardrail.treatments.text.question import read_question
from retrieval.entry import RegisteredEntry
from retrieval.follower import Follower
from retrieval.searcher import Searcher

Modality = Literal["text", "image"]
"""What an answer is made of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """A first attempt that is under way."""

    plan: TreatmentPlan
    treated: TreatedRequest
    sent: Sent


class Flow:
    """The request flow over its collaborators, which `app` hands in."""

    def __init__(
        self,
        *,
        settings: Settings,
        follower: Follower,
        searcher: Searcher,
        cascade: Cascade,
        router: Router,
        journal: Journal,
        planner: Planner,
        picture_inputs: PictureInputs | None = None,
        rests: Callable[[RegisteredEntry, str | None], bool] = lambda entry, model: False,
    ) -> None:
        """`rests`: whether the weights behind a public model were seen not to know an entry any more."""
        self._rests = rests
        self._settings = settings
        self._follower = follower
        self._searcher = searcher
        self._cascade = cascade
        self._router = router
        self._journal = journal
        self._planner = planner
        self._picture_inputs = picture_inputs
        self._pictured: tuple[int, list[RegisteredEntry]] = (-1, [])  # as of a change of the registry
        self._court = Court(
            ask=searcher.told,
            recited=searcher.recited,
            timeout_s=settings.policy.detector_timeout_s,
            fails_open=settings.policy.detector_failure == "fail_open",
            on_failure=self._judge_failed,
            most_statements=settings.policy.judged_statements,
        )

    async def run(self, request: Request) -> Outgoing:
        """One request from reception to answer. Raises `ApiError` for everything that is answered with an error."""
        await self._follower.catch_up()
        route = await self._router.route(request.body.get("model"))
        self._refuse_drawing(request.body)
        if not self._follower.covers(tenant=request.caller.tenant, model=route.model):
            return await send_untouched(request, route)
        decided = await self.decide(request, route)
        if self._follower.acts(tenant=request.caller.tenant, model=route.model):
            request.wire.refuse_unscannable(request.body)
        decision = decided.decision
        if decision.action is Action.FAIL_CLOSED:
            raise overloaded("The service cannot take this request at the moment.", retry_after_s=2.0)
        plan = await self._planned(decided, route)
        if plan.answer is not None:
            self._journal.answered(by_model=False)
            spoken = speak(request.wire, request.body, plan)
            return replace(spoken, headers=[*spoken.headers, *_explained(request, decided)])
        treated = await self._planner.treated(request, route, plan)
        sent = await send_counted(request, route, treated)
        return await self._inspected(request, route, decided, Tried(plan=plan, treated=treated, sent=sent))

    async def _planned(self, decided: Decided, route: Route) -> TreatmentPlan:
        """The plan for a request; beside the event loop where there is much to plan: drawing the invented names of an entry
        takes up to 100 ms, once a revision."""
        if not decided.decision.detections:
            return self._planner.plan(decided, route)
        return await asyncio.to_thread(self._planner.plan, decided, route)

    async def decide(self, request: Request, route: Route) -> Decided:
        """Detect and decide for a request, and write it down."""
        passages, pictures = request.wire.passages(request.body), pictures_in(request.body)
        decided = await self.judge(passages, request.caller, route.model, pictures=pictures)
        self.record(decided, request.caller, request.request_id, endpoint=request.wire.name, model=route.model)
        return decided

    def record(self, decided: Decided, caller: Caller, request_id: str, *, endpoint: str, model: str | None) -> None:
        """Write a decision down."""
        subject = Subject(request_id=request_id, endpoint=endpoint, model=model, caller=caller)
        shape = decided.question.shape.value if decided.decision.detections else ""
        self._journal.decided(
            subject, decided.decision, shape=shape, took_ms=decided.took_ms, passages=decided.passages
        )

    async def judge(
        self,
        passages: Sequence[Passage],
        caller: Caller,
        model: str | None,
        *,
        modality: Modality = "text",
        pictures: Sequence[PictureInput] = (),
    ) -> Decided:
        """Detect and decide for texts that ask for text, or for pictures, and for `pictures` that come with them; also the
        dry run's way. A failing detector is the policy's matter. Raises `ApiError` (400) for pictures that nobody can look
        at."""
        started = time.perf_counter()
        admits = self.admits(caller, model, modality)
        try:
            found = await self._cascade.detect(passages, admits)
            if pictures and self._picture_inputs is not None:
                strict = self._follower.acts(tenant=caller.tenant, model=model)
                found = merged(found, await self._picture_inputs.find(pictures, admits, strict=strict))
            decision = decide(found, self._settings.policy, rests=lambda entry: self._rests(entry, model))
        except DetectorFailure as failure:
            decision = on_failure(self._settings.policy, detector=failure.detector)
            self._journal.detector_failed(failure.detector, self._settings.policy.detector_failure)
        question = read_question(passages, decision)
        took_ms = (time.perf_counter() - started) * 1e3
        return Decided(passages=passages, decision=decision, question=question, admits=admits, took_ms=took_ms)

    def admits(self, caller: Caller, model: str | None, modality: Modality = "text") -> Admits:
        """Which entries count for this caller, model and kind of answer, at this moment."""
        now = datetime.now(UTC)

        def admitted(entry_id: str) -> RegisteredEntry | None:
            found = self._follower.admitted(entry_id, tenant=caller.tenant, model=model, now=now)
            return found if found is not None and modality in found.entry.modalities else None

        return admitted

    @property
    def policy(self) -> PolicySettings:
        """The operator's rules."""
        return self._settings.policy

    async def foresee(self, decided: Decided, model: str | None) -> Foreseen:
        """What would be done about a decided request. Raises `ApiError` where no backend serves the model."""
        return self._planner.foresee(decided, await self._router.route(model))

    async def inspect_answer(self, decided: Decided, answer: str) -> list[Leak]:
        """What the inspectors find in these words, had they been the model's answer to a decided request."""
        wire = WIRE_FORMATS["/v1/chat/completions"]()
        inspection = self._inspection(decided, wire, {})
        plan = self._planner.plan(decided)
        guard = inspection.guard_plan(plan, injected_chars=0, may_restart=False)
        return await find_leaks(guard, [(guard.open_channel(channel_key(0, "content")), answer)])

    def _inspection(
        self,
        decided: Decided,
        wire: WireFormat,
        body: Body,
        *,
        route: Route | None = None,
        on_leak: Callable[[Leak, OnLeak], None] = lambda leak, action: None,
    ) -> Inspection:
        return Inspection(
            searcher=self._searcher,
            wire=wire,
            route=route,
            body=body,
            passages=decided.passages,
            admits=decided.admits,
            decision=decided.decision,
            on_leak=on_leak,
            court=self._court if self._searcher.judges_answers else None,
            forbids_pictures=self._forbids_pictures,
        )

    def _refuse_drawing(self, body: Body) -> None:
        """Raise `ApiError` (400) for a request by which pictures would pass by what holds for pictures."""
        param = asks_for_pictures(body)
        if param is not None and self._forbids_pictures():
            raise pictures_elsewhere(param)

    def _forbids_pictures(self) -> bool:
        """True while an entry that covers pictures is acted on for anybody: so that nobody learns of his own scope."""
        policy = self._settings.policy
        if policy.pictures_in_chats == "pass" or policy.shadow:
            return False
        if self._pictured[0] != self._follower.seq:
            entries = self._searcher.entries.values()
            acted = [one for one in entries if "image" in one.entry.modalities and not one.entry.shadow]
            self._pictured = (self._follower.seq, acted)
        now = datetime.now(UTC)
        return any(one.is_enforced(now) for one in self._pictured[1])

    def _judge_failed(self) -> None:
        self._journal.detector_failed("judge", self._settings.policy.detector_failure)

    async def _inspected(
        self,
        request: Request,
        route: Route,
        decided: Decided,
        tried: Tried,
    ) -> Outgoing:
        """Relay the answer under inspection; begin anew under the next treatment of the ladder where it leaks."""
        plan, answer = tried.plan, tried.sent.answer
        leaks: list[Leak] = []
        rungs = [(decided, plan, 0)]  # what was tried, and how many leaks there were before
        subject = self._subject(request)

        def on_leak(leak: Leak, action: OnLeak) -> None:
            leaks.append(leak)
            self._journal.leaked(subject, leak, action)

        inspection = self._inspection(decided, request.wire, request.body, route=route, on_leak=on_leak)

        async def retry() -> Attempt:
            last, under, before = rungs[-1]
            stricter = self._planner.stricter(last, under, leaks[before:])
            rungs.append((stricter, await self._planned(stricter, route), len(leaks)))
            return await self._anew(request, route, inspection.with_decision(stricter.decision), rungs[-1][1])

        again = may_begin_anew(decided, plan)
        guard = inspection.guard_plan(
            plan,
            injected_chars=tried.treated.injected_chars,
            may_restart=again,
            prompt_tokens=tried.sent.own_prompt_tokens,
        )
        attempt = Attempt(plan=guard, answer=answer, prefix=plan.answer_prefix)
        headers = [*answered_headers(answer), *_explained(request, decided)]
        limit = self._settings.server.max_held_bytes

        def ended(by_model: bool) -> None:
            if decided.decision.detections or leaks:
                self._journal.answered(by_model=by_model)

        if _is_stream(answer):
            body: AsyncIterator[bytes] = deliver_stream(attempt, retry, max_bytes=limit, ended=ended)
            return Outgoing(status=answer.status, headers=headers, body=body)
        whole, by_model = await deliver_whole(attempt, retry, max_bytes=limit)
        ended(by_model)
        return Outgoing(status=answer.status, headers=headers, body=whole)

    async def _anew(self, request: Request, route: Route, inspection: Inspection, plan: TreatmentPlan) -> Attempt:
        """Another attempt, as it was decided after the leak."""
        treated = await self._planner.treated(request, route, plan)
        again = next_rung(plan.treatment) is not None
        guard = inspection.guard_plan(plan, injected_chars=treated.injected_chars, may_restart=again)
        if plan.answer is not None:
            return Attempt(plan=guard, words=plan.answer)
        sent = await send_counted(request, route, treated)
        told = inspection.guard_plan(
            plan,
            injected_chars=treated.injected_chars,
            may_restart=again,
            prompt_tokens=sent.own_prompt_tokens,
        )
        return Attempt(plan=told, answer=sent.answer, words=plan.repair.natural_answer, prefix=plan.answer_prefix)

    def _subject(self, request: Request) -> Subject:
        model = request.body.get("model")
        return Subject(
            request_id=request.request_id,
            endpoint=request.wire.name,
            model=model if isinstance(model, str) else None,
            caller=request.caller,
        )


def _is_stream(answer: BackendAnswer) -> bool:
    kinds = [value for name, value in answer.headers if name.lower() == b"content-type"]
    return answer.status < 400 and any(value.startswith(b"text/event-stream") for value in kinds)


def _explained(request: Request, decided: Decided) -> list[tuple[bytes, bytes]]:
    """The decision as a header, for an admin who asks for it."""
    if not request.explain:
        return []
    return explained(explanation(decided.decision, shape=decided.question.shape.value, took_ms=decided.took_ms))
