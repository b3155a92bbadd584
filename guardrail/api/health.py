"""`GET /healthz` and `/health` on the data listener: the process answers. Details are the admin listener's."""

from __future__ import annotations

from guardrail.api.endpoint import Endpoint, Received, Services
from guardrail.replies import Outgoing


async def handle(received: Received, services: Services) -> Outgoing:
    """Alive."""
    del received, services
    return Outgoing(body=b'{"status":"ok"}')


ENDPOINT = Endpoint("health", ["GET"], handle, is_open=True)
