"""`POST /v1/chat/completions`."""

from __future__ import annotations

from guardrail.api.endpoint import Endpoint, Received, Services
from guardrail.api.generation import generate
from guardrail.openai_wire.chat import ChatWire
from guardrail.replies import Outgoing

_WIRE = ChatWire()


async def handle(received: Received, services: Services) -> Outgoing:
    """One request."""
    return await generate(received, services, _WIRE)


ENDPOINT = Endpoint("chat_completions", ["POST"], handle)
