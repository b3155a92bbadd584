"""The dry run: what would be decided for a request, and why, without asking a backend.

Knows nothing of detection; the proxy's own code path is injected. The answer speaks of entries by id.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from guardrail.api.admin.body import decode_object, read_body
from guardrail.api.admin.errors import json_response
from guardrail.api.admin.gate import caller_of
from guardrail.api.admin.services import AdminServices
from guardrail.decision import Caller
from guardrail.errors import ApiError

MATCH_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "A chat body (`messages`), a completions body (`prompt`), a responses body (`input`), a prompt for "
        "pictures (`prompt`, with the `model` that draws), or a picture (`image`: a data URL).",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}
_FIELDS: Final = ("messages", "prompt", "input", "image")


class MatchRoute:
    """`POST /v1/forget/match`."""

    def __init__(self, services: AdminServices) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The route for the app."""
        router = APIRouter(tags=["forget entries"])
        router.add_api_route(
            "/v1/forget/match", self.match, methods=["POST"], response_model=None, openapi_extra=MATCH_BODY
        )
        return router

    async def match(
        self, request: Request, tenant: Annotated[str | None, Query(min_length=1, max_length=128)] = None
    ) -> Response:
        """Matches, scores, evidence and decision for a request body; `tenant` asks on behalf of another tenant."""
        body = decode_object(await read_body(request, self._services.settings.server.max_body_bytes))
        if not any(name in body for name in _FIELDS):
            raise ApiError(
                "Send a body with messages, prompt, input or image.", param="messages", code="invalid_parameter"
            )
        caller = caller_of(request.scope) or Caller(is_admin=True)
        if tenant is not None:
            caller = dataclasses.replace(caller, tenant=tenant)
        started_s = time.perf_counter()
        explained = dict(await self._services.explain_match(body, caller))
        explained.setdefault("ms", round((time.perf_counter() - started_s) * 1000, 3))
        return json_response(explained)
