"""Other `/v1` routes of a backend: passed while nothing is to be forgotten for the caller, denied (403) while something is.

They would be ways around the flow: batches, raw generation, audio, stored responses.
"""

from __future__ import annotations

import orjson

from guardrail.api.endpoint import Endpoint, Received, Services
from guardrail.backends.protocol import BackendCall, Capability
from guardrail.errors import ApiError, not_found
from guardrail.replies import Outgoing
from guardrail.streaming.relay import relay_raw


async def handle(received: Received, services: Services) -> Outgoing:
    """Any other route."""
    await services.follower.catch_up()
    if services.follower.covers(tenant=received.caller.tenant, model=None):
        raise ApiError(
            "This route is not available on this deployment.", status=403, type="permission_error", code="route_denied"
        )
    raw = await received.read()
    model = _model_in(raw)
    route = await services.router.route(model) if model is not None else services.router.any_route()
    if Capability.RAW not in route.backend.capabilities:
        raise not_found("This route")
    if route.is_renamed:
        raw = orjson.dumps({**orjson.loads(raw), "model": route.upstream_model})
    call = BackendCall(
        path=received.path,
        body=raw,
        method=received.method,
        query=received.query,
        headers=received.headers,
        model=route.upstream_model,
        stream=False,
        fair_key=received.caller.key_id or received.caller.tenant,
    )
    answer = await route.backend.send(call)
    headers = [pair for pair in answer.headers if pair[0].lower() != b"content-length"]
    return Outgoing(status=answer.status, headers=headers, body=relay_raw(answer, is_stream=False))


def _model_in(raw: bytes) -> str | None:
    try:
        body = orjson.loads(raw) if raw[:1] == b"{" else None
    except orjson.JSONDecodeError:
        return None
    model = body.get("model") if isinstance(body, dict) else None
    return model if isinstance(model, str) else None


ENDPOINT = Endpoint("passthrough", ["GET", "POST", "PUT", "PATCH", "DELETE"], handle)
