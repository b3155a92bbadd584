"""What the three text endpoints have in common: decode, check the model, hand over to the flow."""

from __future__ import annotations

from guardrail.api.endpoint import Received, Services
from guardrail.auth import check_model
from guardrail.forward import Request
from guardrail.openai_wire.protocol import WireFormat
from guardrail.replies import Outgoing


async def generate(received: Received, services: Services, wire: WireFormat) -> Outgoing:
    """One request of a text endpoint."""
    body, raw = await received.json()
    model = body.get("model")
    if "*" not in received.caller.models and isinstance(model, str):
        check_model(received.caller, model, [str(card["id"]) for card in await services.router.cards()])
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
