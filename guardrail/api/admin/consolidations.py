"""Consolidations over HTTP: what is planned, what runs, the schedule, and an operator's word on weights.

Workers carry jobs out; these routes only read and write the registry's rows, so that they answer whether a worker runs or
not. No entry text is here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from guardrail.api.admin.body import decode_object, read_body
from guardrail.api.admin.errors import json_response
from guardrail.api.admin.forget_entries import actor_of
from guardrail.api.admin.services import AdminServices
from guardrail.api.admin.views import rfc3339
from guardrail.errors import ApiError
from retrieval.artifacts import Artifact
from retrieval.consolidations import begin, publish, roll_back
from retrieval.errors import JobConflict
from retrieval.jobs import Job
from retrieval.plans import ModelPlan
from retrieval.schedule import Schedule, parse_schedule

_Done = TypeVar("_Done")


class ConsolidationOrder(BaseModel):
    """The body of `POST /v1/consolidations`. Without `model`: the only one that is planned. Without `entries`: what is due.
    Without `method`: the next one of the ladder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = None
    entries: tuple[Annotated[str, Field(min_length=1, max_length=128)], ...] = Field(default=(), max_length=10_000)
    method: str | None = Field(default=None, max_length=64)
    hyper_parameters: dict[str, Any] = {}
    plan: dict[str, Any] = {}
    edit_scale: float | None = Field(default=None, gt=0, le=10)
    needs_approval: bool | None = None
    canary_share: float | None = Field(default=None, gt=0, le=1)


class ConsolidationRoutes:
    """`/v1/consolidations`."""

    def __init__(self, services: AdminServices) -> None:
        self._services, self._registry = services, services.registry

    def router(self) -> APIRouter:
        """The routes for the app."""
        router = APIRouter(prefix="/v1/consolidations", tags=["consolidations"])
        for path, method, route in (
            ("", "POST", self.start),
            ("", "GET", self.page),
            ("/plan", "GET", self.plan),
            ("/schedule", "GET", self.schedule),
            ("/schedule", "PUT", self.put_schedule),
            ("/{job_id}", "GET", self.show),
            ("/{job_id}:cancel", "POST", self.cancel),
            ("/{job_id}:approve", "POST", self.approve),
            ("/{job_id}:reject", "POST", self.reject),
            ("/{job_id}:publish", "POST", self.publish),
            ("/{job_id}:rollback", "POST", self.roll_back),
        ):
            router.add_api_route(path, route, methods=[method], response_model=None)
        return router

    async def start(self, request: Request) -> Response:
        """A run for what is due, or for entries that are named."""
        order = self._order(decode_object(await self._body(request)))
        chosen = order.model_dump(exclude={"model", "entries"}, exclude_unset=True, exclude_none=True)
        actor = actor_of(request)

        def add() -> dict[str, Any]:
            plan = _plan_of(self._registry.plans.all(), order.model)
            schedule = self._registry.schedules.get()
            job = begin(self._registry, plan, schedule=schedule, actor=actor, asked_for=order.entries, chosen=chosen)
            return self._view(job)

        return json_response(await asyncio.to_thread(add), status=201)

    async def page(
        self,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        cursor: Annotated[str | None, Query()] = None,
        model: Annotated[str | None, Query(max_length=256)] = None,
    ) -> Response:
        """Jobs, newest first."""

        def read() -> dict[str, Any]:
            page = self._registry.jobs.list(model=model, limit=limit, cursor=cursor)
            return {
                "object": "list",
                "data": [self._view(job) for job in page.items],
                "has_more": page.next_cursor is not None,
                "next_cursor": page.next_cursor,
            }

        return json_response(await asyncio.to_thread(read))

    async def show(self, job_id: str) -> Response:
        """One job with its progress, and what the gate said of its weights."""
        return await self._on(job_id, lambda job: job)

    async def plan(self) -> Response:
        """What workers last found due on each model, why, and what it would cost."""
        plans = await asyncio.to_thread(self._registry.plans.all)
        return json_response({"object": "list", "data": [one.model_dump(mode="json") for one in plans]})

    async def schedule(self) -> Response:
        """When runs begin by themselves."""
        return json_response(_shown_schedule(await asyncio.to_thread(self._registry.schedules.get)))

    async def put_schedule(self, request: Request) -> Response:
        """Another schedule, whole; what is left out is the default."""
        schedule = parse_schedule(decode_object(await self._body(request)))
        await asyncio.to_thread(self._registry.schedules.put, schedule, actor=actor_of(request))
        return json_response(_shown_schedule(schedule))

    async def cancel(self, request: Request, job_id: str) -> Response:
        """End a job; one that ended stays as it is."""
        return await self._on(job_id, lambda job: self._registry.jobs.cancel(job.id, actor=actor_of(request)))

    async def approve(self, request: Request, job_id: str) -> Response:
        """Weights that wait for a person's word are published by the next worker."""
        return await self._on(
            job_id, lambda job: self._registry.jobs.decide(job.id, approved=True, actor=actor_of(request))
        )

    async def reject(self, request: Request, job_id: str) -> Response:
        """Weights that wait for a person's word are not; their entries stay in context."""
        return await self._on(
            job_id, lambda job: self._registry.jobs.decide(job.id, approved=False, actor=actor_of(request))
        )

    async def publish(self, request: Request, job_id: str) -> Response:
        """A job's approved weights answer every request: ends a canary, or takes a rollback back."""

        def serve(job: Job) -> Job:
            publish(self._registry, self._artifact(job), actor=actor_of(request))
            return job

        return await self._on(job_id, serve)

    async def roll_back(self, request: Request, job_id: str) -> Response:
        """What served before this job's weights answers again."""

        def back(job: Job) -> Job:
            artifact = self._artifact(job)
            served = self._registry.artifacts.served(job.model)
            if artifact.id not in (served.artifact_id, served.canary_id):
                raise JobConflict(f"The weights of {job.id} do not serve; there is nothing to roll back.")
            roll_back(self._registry, job.model, actor=actor_of(request))
            return job

        return await self._on(job_id, back)

    async def _on(self, job_id: str, act: Callable[[Job], Job]) -> Response:
        """Act on a job, and show it."""

        def done() -> dict[str, Any]:
            return self._view(act(self._registry.jobs.get(job_id)))

        shown = await asyncio.to_thread(done)
        await self._services.after_change()
        return json_response(shown)

    def _artifact(self, job: Job) -> Artifact:
        if job.artifact_id is None:
            raise JobConflict(f"Job {job.id} has made no weights that were approved.")
        return self._registry.artifacts.get(job.artifact_id)

    def _order(self, body: dict[str, Any]) -> ConsolidationOrder:
        try:
            return ConsolidationOrder.model_validate(body)
        except ValidationError as error:
            fault = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(part) for part in fault["loc"])
            raise ApiError(f"{place}: {fault['msg']}.", param=place or None, code="invalid_parameter") from None

    async def _body(self, request: Request) -> bytes:
        return await read_body(request, self._services.settings.server.max_body_bytes)

    def _view(self, job: Job) -> dict[str, Any]:
        artifact = None if job.artifact_id is None else self._registry.artifacts.get(job.artifact_id)
        return {
            "object": "consolidation",
            "id": job.id,
            "model": job.model,
            "state": job.state.value,
            "step": job.step.value,
            "progress": {name: getattr(job.progress, name) for name in ("done", "total", "loss", "left_s")},
            "entries": job.request["entries"],
            "due": job.request["due"],
            "attempts": job.attempts,
            "worker": job.worker,
            "error": job.error,
            "weights": None if artifact is None else _shown_weights(artifact),
            "created_at": rfc3339(job.created_at),
            "updated_at": rfc3339(job.updated_at),
            "finished_at": None if job.finished_at is None else rfc3339(job.finished_at),
        }


def _shown_weights(artifact: Artifact) -> dict[str, Any]:
    return {
        "id": artifact.id,
        "version": artifact.version,
        "state": artifact.state.value,
        "method": artifact.made.method,
        "form": artifact.made.form,
        "manifest_sha256": artifact.made.manifest_sha256,
        "covers": dict(artifact.made.covers),
        "reasons": list(artifact.verdict.reasons),
        "figures": artifact.verdict.figures,
        "decided_by": artifact.decided_by,
    }


def _shown_schedule(schedule: Schedule) -> dict[str, Any]:
    return {"object": "consolidation.schedule", **schedule.model_dump(mode="json")}


def _plan_of(plans: list[ModelPlan], model: str | None) -> ModelPlan:
    if not plans:
        raise JobConflict("Nothing is planned yet; start a worker: `expunge worker`.")
    found = {one.model: one for one in plans}
    if model is None and len(plans) > 1:
        raise ApiError(f"Name the model: {', '.join(found)}.", param="model", code="invalid_parameter")
    if model is not None and model not in found:
        raise ApiError(f"No plan for '{model}'; there are: {', '.join(found)}.", param="model", code="not_found")
    return found[model] if model is not None else plans[0]
