"""`POST /v1/responses`."""

from __future__ import annotations

from guardrail.api.endpoint import Endpoint, Received, Services
from guardrail.api.generation import generate
from guardrail.openai_wire.responses import ResponsesWire
from guardrail.replies import Outgoing

_WIRE = ResponsesWire()


async def handle(received: Received, services: Services) -> Outgoing:
    """One request."""
    return await generate(received, services, _WIRE)


ENDPOINT = Endpoint("responses", ["POST"], handle)
