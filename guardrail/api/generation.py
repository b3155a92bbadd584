"""What the text endpoints have in common: decode, check the model against the caller's key, hand over to the flow."""

from __future__ import annotations

import json

from guardrail.api.endpoint import Received, Services
from guardrail.auth import may_use, visible_models
from guardrail.errors import ApiError, unknown_model
from guardrail.forward import Request
from guardrail.openai_wire.choices import without_own_arguments
from guardrail.openai_wire.protocol import Body, WireFormat
from guardrail.replies import Outgoing


async def generate(received: Received, services: Services, wire: WireFormat) -> Outgoing:
    """One request of a text endpoint."""
    body, raw = own_arguments_left_out(*await received.json())
    await check_scope(received, services, body.get("model"))
    request = Request(
        wire=wire,
        body=body,
        raw=raw,
        caller=received.caller,
        request_id=received.request_id,
        query=received.query,
        headers=received.headers,
        explain=received.explain and received.caller.is_admin,
    )
    return await services.flow.run(request)


def own_arguments_left_out(body: Body, raw: bytes) -> tuple[Body, bytes]:
    """A caller's body and its bytes, without what only Expunge itself may send; else as they came."""
    left = without_own_arguments(body)
    return (body, raw) if left is body else (left, json.dumps(left).encode())


async def check_scope(received: Received, services: Services, model: object) -> None:
    """Raise `ApiError` (400, 404) unless the caller's key covers the model; a limited key must name one."""
    caller = received.caller
    if "*" in caller.models:
        return
    if not isinstance(model, str) or not model:
        raise ApiError("Field 'model' must name a served model.", param="model")
    if not may_use(caller, model):
        served = [str(card["id"]) for card in await services.router.cards()]
        raise unknown_model(model, visible_models(caller, served))
