"""The router: public names over backends, what it keeps of a backend that is away, and failures that are counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from guardrail.backends.answers import StreamAnswer
from guardrail.backends.echo import Echo
from guardrail.backends.protocol import BackendAnswer, BackendCall, Capability
from guardrail.backends.router import Router
from guardrail.backends.watched import Watched
from guardrail.errors import ApiError, backend_down, backend_slow, overloaded
from guardrail.settings import BackendSettings


class Moody(Echo):
    """An echo whose models and answers change as the test says. An error in `models_now` is raised."""

    def __init__(self, name: str, models_now: Any, **fields: Any) -> None:
        super().__init__(settings(name, **fields))
        self.models_now = models_now
        self.failure: ApiError | None = None
        self.asked = 0

    async def models(self) -> list[dict[str, Any]]:
        self.asked += 1
        if isinstance(self.models_now, Exception):
            raise self.models_now
        if self.models_now == "never":
            await asyncio.sleep(600)
        return [{"id": name, "object": "model", "root": f"folder/{name}"} for name in self.models_now]

    async def send(self, call: BackendCall) -> BackendAnswer:
        if self.failure is not None:
            raise self.failure
        return StreamAnswer(_breaks_off())


async def _breaks_off() -> AsyncIterator[bytes]:
    yield b"data: 1\n\n"
    error = backend_down("x")
    error.code = "backend_broke_off"
    raise error


def settings(name: str, **fields: Any) -> BackendSettings:
    return BackendSettings(name=name, kind="echo", **fields)


def router(*backends: Moody, **maps: dict[str, str]) -> Router:
    return Router([(settings(one.name, models=maps.get(one.name, {})), one) for one in backends])


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guardrail.backends.router._ASK_AGAIN_S", 0.0)


async def test_names_lead_to_their_backends_and_a_map_renames() -> None:
    one, two = Moody("one", ["a"]), Moody("two", ["big/b"])
    table = router(one, two, two={"b": "big/b"})
    found = [await table.route(name) for name in ("a", "b")]
    assert [(route.backend.name, route.upstream_model, route.is_renamed) for route in found] == [
        ("one", "a", False),
        ("two", "big/b", True),
    ]
    cards = await table.cards()
    assert [card["id"] for card in cards] == ["a", "b"]
    assert "big/b" not in str(cards), "the backend's own name shows nowhere"


async def test_a_name_that_two_serve_belongs_to_the_first() -> None:
    one, two = Moody("one", ["a"]), Moody("two", ["a"])
    assert (await router(one, two).route("a")).backend is one


async def test_a_known_name_asks_no_backend_again() -> None:
    one = Moody("one", ["a"])
    table = router(one)
    for _ in range(5):
        await table.route("a")
    assert one.asked == 1


async def test_an_unknown_name_is_told_with_those_that_are_served() -> None:
    table = router(Moody("one", ["a", "b"]))
    with pytest.raises(ApiError, match="Served models: a, b") as caught:
        await table.route("c")
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")


@pytest.mark.parametrize("away", [backend_down("one"), backend_slow("one"), overloaded("busy"), "never"], ids=str)
async def test_a_backend_that_is_away_keeps_its_names_and_stops_nobody(
    away: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guardrail.backends.router._ANSWER_WITHIN_S", 0.05)
    one, two = Moody("one", ["a"]), Moody("two", ["b"])
    table = router(one, two)
    await table.refresh()
    one.models_now, two.models_now = away, ["b", "c"]
    assert (await table.route("c")).backend is two
    assert (await table.route("a")).backend is one


async def test_a_name_that_a_backend_no_longer_serves_is_gone() -> None:
    one = Moody("one", ["a"])
    table = router(one)
    await table.refresh()
    one.models_now = ["b"]
    assert (await table.route("b")).model == "b"
    with pytest.raises(ApiError):
        await table.route("a")


async def test_the_only_backend_takes_what_names_no_model_and_what_could_not_be_asked() -> None:
    one = Moody("one", backend_down("one"))
    table = router(one)
    assert (await table.route(None)).backend is one
    assert (await table.route("whatever")).upstream_model == "whatever"
    with pytest.raises(ApiError, match="model"):
        await router(one, Moody("two", ["b"])).route(None)
    wrongs: list[object] = [7, "", [], True]
    for wrong in wrongs:
        with pytest.raises(ApiError):
            await table.route(wrong)


def test_other_routes_go_to_the_first_backend_that_takes_any() -> None:
    one, two = Moody("one", ["a"]), Moody("two", ["b"])
    assert router(one, two).any_route().backend is one
    two.capabilities = frozenset(Capability)
    assert router(one, two).any_route().backend is two


async def test_failures_are_counted_by_backend_and_kind_wherever_they_come() -> None:
    counted: list[tuple[str, str]] = []
    one = Moody("one", ["a"])
    watched = Watched(one, lambda name, kind: counted.append((name, kind)))
    call = BackendCall(path="/v1/chat/completions", body=b"{}")
    for failure in (backend_down("one"), backend_slow("one"), overloaded("busy"), ApiError("odd", status=502)):
        one.failure = failure
        with pytest.raises(ApiError) as caught:
            await watched.send(call)
        assert caught.value is failure
    one.failure = None
    answer = await watched.send(call)
    with pytest.raises(ApiError):
        assert [chunk async for chunk in answer.chunks()] == []
    kinds = ["unavailable", "timeout", "overloaded", "bad_answer", "broken_off"]
    assert counted == [("one", kind) for kind in kinds]
    assert (await watched.models(), (await watched.health()).ok) == (await one.models(), True)
