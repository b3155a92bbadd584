"""Other `/v1` routes of a backend: passed while nothing is to be forgotten for the caller, denied (403) while something is.

They would be ways around the flow: batches, raw generation, audio, stored responses. A key that is limited to some models
passes only bodies that name one of them, as other bodies may name any model in ways that are not read here. Routes that
change what a backend serves are its operator's, and never passed. Of forms (speech) nothing is read.
"""

from __future__ import annotations

import json
from typing import Any

from guardrail.api.endpoint import Endpoint, Received, Services
from guardrail.api.generation import check_scope, own_arguments_left_out
from guardrail.backends.protocol import BackendCall, Capability
from guardrail.errors import ApiError, not_found
from guardrail.forward import answered_headers, relayed, renamed_call
from guardrail.replies import Outgoing

_CHANGES_WHAT_IS_SERVED = frozenset({"load_lora_adapter", "unload_lora_adapter"})


async def handle(received: Received, services: Services) -> Outgoing:
    """Any other route."""
    await services.follower.catch_up()
    if services.follower.acts(tenant=received.caller.tenant, model=None):
        raise ApiError(
            "This route is not available on this deployment.", status=403, type="permission_error", code="route_denied"
        )
    parts = received.path.replace("\\", "/").lower().split("/")
    if not _CHANGES_WHAT_IS_SERVED.isdisjoint(parts):
        raise not_found("This route")
    if any(part in (".", "..") for part in parts):
        raise not_found("This route")  # a backend that resolves it would answer for another route
    raw = await received.read()
    body = _object_in(raw)
    if body is not None:
        _, raw = own_arguments_left_out(body, raw)
    named = body.get("model") if body is not None else None
    model = named if isinstance(named, str) else None
    await check_scope(received, services, model)
    route = await services.router.route(model) if model is not None else services.router.any_route()
    if Capability.RAW not in route.backend.capabilities:
        raise not_found("This route")
    call = BackendCall(
        path=received.raw_path,
        body=renamed_call(raw, route),
        method=received.method,
        query=received.query,
        headers=received.headers,
        model=route.upstream_model,
        stream=False,
        fair_key=received.caller.key_id or received.caller.tenant,
    )
    answer = await route.backend.send(call)
    is_stream = any(value.startswith(b"text/event-stream") for name, value in answer.headers if name == b"content-type")
    told = await relayed(answer, route, is_stream=is_stream)
    return Outgoing(status=answer.status, headers=answered_headers(answer), body=told)


def _object_in(raw: bytes) -> dict[str, Any] | None:
    """A body that a backend would read as a JSON object, whatever the encoding; None for any other."""
    try:
        body = json.loads(raw)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


ENDPOINT = Endpoint("passthrough", ["GET", "POST", "PUT", "PATCH", "DELETE"], handle)
