"""`POST /v1/completions`."""

from __future__ import annotations

from guardrail.api.endpoint import Endpoint, Received, Services
from guardrail.api.generation import generate
from guardrail.openai_wire.completions import CompletionsWire
from guardrail.replies import Outgoing

_WIRE = CompletionsWire()


async def handle(received: Received, services: Services) -> Outgoing:
    """One request."""
    return await generate(received, services, _WIRE)


ENDPOINT = Endpoint("completions", ["POST"], handle)
