"""Which backend serves which public model name.

A backend with a `models` map serves the public names in it; one without serves its own names, asked at start and asked
again (at most every few seconds) when an unknown name comes. Where two serve the same name, the first in the settings
has it. Knows nothing of entries. Times in seconds.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from guardrail.backends.protocol import Backend, Capability
from guardrail.errors import ApiError, unknown_model
from guardrail.settings import BackendSettings

_ASK_AGAIN_S = 3.0
_ANSWER_WITHIN_S = 5.0

HIDDEN = "expunge-weights-"
"""Backends' own names that begin so are weights that consolidation made; no caller can ask for them by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """A public model name resolved: the backend and its own name for the model."""

    backend: Backend
    model: str | None
    upstream_model: str | None

    @property
    def is_renamed(self) -> bool:
        return self.model != self.upstream_model


@dataclass(frozen=True, kw_only=True, slots=True)
class Mapped:
    """The backend's own names for a public model in the place of its usual one: for all requests (None: the usual one),
    and for a share of them."""

    upstream: str | None = None
    canary: str | None = None
    canary_share: float = 0.0


class Router:
    """Public model names over several backends. `served` pairs each backend with its settings."""

    def __init__(self, served: Sequence[tuple[BackendSettings, Backend]]) -> None:
        self._served = served
        self._cards_of: list[dict[str, dict[str, Any]]] = [{} for _ in served]
        self._routes: dict[str, Route] = {}
        self._cards: dict[str, dict[str, Any]] = {}
        self._mapped: dict[str, Mapped] = {}
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    @property
    def backends(self) -> list[Backend]:
        return [backend for _, backend in self._served]

    def map(self, model: str, mapped: Mapped) -> None:
        """From now on requests for a public model go to these names; all at once."""
        self._mapped[model] = mapped

    def served_by(self) -> Mapping[str, str]:
        """Public model name -> name of the backend, as far as they are known."""
        return {model: route.backend.name for model, route in self._routes.items()}

    def card(self, model: str) -> Mapping[str, Any]:
        """What the backend says of the model under its own name; empty where it has said nothing."""
        route = self._routes.get(model)
        if route is None:
            return {}
        place = next(place for place, (_, backend) in enumerate(self._served) if backend is route.backend)
        return self._cards_of[place].get(route.upstream_model or model, {})

    async def refresh(self) -> None:
        """Ask the backends for their models; one that is out of reach or slow keeps what was known of it."""
        async with self._asking:
            if time.monotonic() - self._asked_at < _ASK_AGAIN_S:
                return
            await asyncio.gather(*map(self._ask, range(len(self._served))))
            self._arrange()
            self._asked_at = time.monotonic()

    async def _ask(self, place: int) -> None:
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                cards = await self._served[place][1].models()
        except (ApiError, TimeoutError):
            return
        self._cards_of[place] = {
            str(card.get("id")): card for card in cards if not str(card.get("id")).startswith(HIDDEN)
        }

    def _arrange(self) -> None:
        routes: dict[str, Route] = {}
        cards: dict[str, dict[str, Any]] = {}
        for (settings, backend), own in zip(self._served, self._cards_of, strict=True):
            names: Mapping[str, str] = settings.models or {name: name for name in own}
            for public, upstream in names.items():
                if public not in routes:
                    routes[public] = Route(backend=backend, model=public, upstream_model=upstream)
                    cards[public] = _public_card(own.get(upstream), public, upstream, backend.name)
        self._routes, self._cards = routes, cards

    async def route(self, model: object) -> Route:
        """The route of a request's `model`. Without a name, the only backend takes it. Raises `ApiError` (400, 404)."""
        if model is None and len(self._served) == 1:
            return Route(backend=self._served[0][1], model=None, upstream_model=None)
        if not isinstance(model, str) or not model:
            raise ApiError("Field 'model' must name a served model.", param="model")
        if model.startswith(HIDDEN):
            raise unknown_model(model, list(self._routes))
        found = self._routes.get(model)
        if found is None:
            await self.refresh()
            found = self._routes.get(model)
        if found is not None:
            return self._with_weights(found)
        if len(self._served) == 1 and not self._routes:
            # Its models could not be asked: let the backend itself say what is wrong.
            return Route(backend=self._served[0][1], model=model, upstream_model=model)
        raise unknown_model(model, list(self._routes))

    def _with_weights(self, route: Route) -> Route:
        """The route to the weights that the model is to be answered with; a canary takes its share of requests."""
        mapped = self._mapped.get(route.model or "")
        if mapped is None:
            return route
        is_canary = mapped.canary is not None and random.random() < mapped.canary_share
        upstream = mapped.canary if is_canary else mapped.upstream
        return route if upstream is None else replace(route, upstream_model=upstream)

    def any_route(self) -> Route:
        """The first backend that takes any route, for requests that name no model."""
        backends = self.backends
        fit = next((backend for backend in backends if Capability.RAW in backend.capabilities), backends[0])
        return Route(backend=fit, model=None, upstream_model=None)

    async def cards(self) -> list[dict[str, Any]]:
        """Model cards under their public names."""
        await self.refresh()
        return [self._cards[name] for name in sorted(self._cards)]


def _public_card(own: Mapping[str, Any] | None, public: str, upstream: str, owner: str) -> dict[str, Any]:
    """The backend's card under the public name; its own name shows nowhere."""
    card = dict(own or {"object": "model", "created": 0, "owned_by": owner})
    if public != upstream and "root" in card:
        card["root"] = public
    return {**card, "id": public}
