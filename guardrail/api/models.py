"""`GET /v1/models` and `GET /v1/models/{id}`: the public names over all backends, as far as the caller's key goes."""

from __future__ import annotations

import orjson

from guardrail.api.endpoint import Endpoint, Received, Services
from guardrail.auth import may_use
from guardrail.errors import unknown_model
from guardrail.replies import Outgoing

PREFIX = "/v1/models/"


async def handle(received: Received, services: Services) -> Outgoing:
    """The list, or one card."""
    cards = [card for card in await services.router.cards() if may_use(received.caller, str(card["id"]))]
    if not received.path.startswith(PREFIX):
        return Outgoing(body=orjson.dumps({"object": "list", "data": cards}))
    wanted = received.path.removeprefix(PREFIX)
    for card in cards:
        if card["id"] == wanted:
            return Outgoing(body=orjson.dumps(card))
    raise unknown_model(wanted, [str(card["id"]) for card in cards])


ENDPOINT = Endpoint("models", ["GET"], handle)
