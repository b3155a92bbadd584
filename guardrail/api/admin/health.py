"""Liveness, readiness with details, and metrics.

Knows nothing of what makes the proxy ready; the details are injected. A probe without a key learns only yes or no.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import Response

from guardrail.api.admin.errors import json_response
from guardrail.api.admin.gate import caller_of
from guardrail.api.admin.services import AdminServices
from guardrail.metrics import CONTENT_TYPE


class HealthRoutes:
    """`/healthz`, `/readyz` and `/metrics`."""

    def __init__(self, services: AdminServices) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes for the app."""
        router = APIRouter(tags=["health"])
        for path, route in (("/healthz", self.healthz), ("/readyz", self.readyz)):
            router.add_api_route(path, route, methods=["GET"], response_model=None)
            router.add_api_route(path, route, methods=["HEAD"], response_model=None, include_in_schema=False)
        router.add_api_route("/metrics", self.metrics, methods=["GET"], response_model=None)
        return router

    async def healthz(self) -> Response:
        """200 while the process answers."""
        return json_response({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """200 when requests can be served, 503 otherwise; the details say what is missing."""
        details = dict(await self._services.readiness())
        ready = details.pop("ready", False) is True
        shown: dict[str, object] = {"ready": ready}
        if caller_of(request.scope) is not None:
            shown |= details
        return json_response(shown, status=200 if ready else 503)

    async def metrics(self) -> Response:
        """All metrics in Prometheus text format."""
        text = await asyncio.to_thread(self._services.metrics_text)
        return Response(text, headers={"content-type": CONTENT_TYPE})
