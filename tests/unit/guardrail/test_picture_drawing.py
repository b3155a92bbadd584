"""What reaches a backend while one request is drawn: under its plan, one rung down, at the ladder's end, with a watch."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import orjson
import pytest

from guardrail.backends.answers import WholeAnswer
from guardrail.backends.picture_fetch import PictureFetcher
from guardrail.backends.protocol import Backend, BackendAnswer, BackendCall, Capability
from guardrail.backends.router import Route
from guardrail.decision import Caller
from guardrail.errors import ApiError, BackendError, overloaded
from guardrail.openai_wire import images
from guardrail.picture_drawing import Drawing, Hands, Pictured, Standing, retold_answer
from guardrail.picture_planning import PicturePlanner
from guardrail.picture_sending import NEUTRAL_PROMPT, PictureAsk
from guardrail.pictures import PictureLeak
from guardrail.settings import PolicySettings
from tests.fakes.concepts import concept
from tests.fakes.small_pictures import painted_file

NAME = "strypov"
PROMPT = f"a house by {NAME}"
STYLE = concept(NAME, "style")
Refuses = Callable[[Mapping[str, Any], str], str | None]
"""A request's body and the name of its steering -> the words of a 400; None: it is drawn."""


@dataclass(frozen=True)
class NamedSteering:
    name: str

    @contextmanager
    def attached(self, pipeline: Any, arguments: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        yield arguments


@dataclass
class Painter:
    """A backend that draws the same picture of everything; `cannot` is a steering with which it fails."""

    refuses: Refuses = lambda body, steering: None
    cannot: str = "-"
    capabilities: frozenset[Capability] = frozenset({Capability.IMAGES})
    seen: list[tuple[Mapping[str, Any], str]] = field(default_factory=list)
    name: str = "painter"

    async def send(self, call: BackendCall) -> BackendAnswer:
        body, steering = orjson.loads(call.body), call.steering.name if call.steering is not None else ""
        self.seen.append((body, steering))
        if self.cannot in steering:
            raise BackendError("It cannot.", status=500)
        words = self.refuses(body, steering)
        if words is not None:
            return WholeAnswer(orjson.dumps({"error": {"message": words}}), status=400)
        item = {"b64_json": base64.b64encode(painted_file("red", 1)).decode()}
        return WholeAnswer(orjson.dumps({"created": 1, "data": [item] * body.get("n", 1)}))

    @property
    def prompts(self) -> list[str]:
        return [body["prompt"] for body, _ in self.seen]


def ask_for(**fields: Any) -> PictureAsk:
    body = {"prompt": PROMPT, **fields}
    asked = images.parse(body, may_be_other=True)
    return PictureAsk(asked=asked, body=body, raw=orjson.dumps(body), caller=Caller(), request_id="req_1")


async def drawn(painter: Painter, ask: PictureAsk, *, fails_open: bool = False, **standing: Any) -> Pictured:
    """The request, drawn under a plan of the real planner unless `plan` is given."""
    planner = PicturePlanner(policy=PolicySettings(), otherwise=standing.pop("treatment", "auto"))
    begin = Standing(
        **{"plan": planner.plan(ask.asked, [STYLE], painter.capabilities), "concepts": (STYLE,), **standing}
    )

    async def stricter(before: Standing, leaks: Sequence[PictureLeak]) -> Standing:
        plan = planner.stricter(before.plan, ask.asked, before.concepts, leaks, painter.capabilities)
        return replace(before, plan=plan)

    def unwatched() -> None:
        if not fails_open:
            raise overloaded("unwatched")

    hands = Hands(look=None, note=lambda leaks: None, stricter=stricter, fetcher=PictureFetcher, unwatched=unwatched)
    route = Route(backend=cast(Backend, painter), model=None, upstream_model=None)
    return await Drawing(ask, route, hands).run(begin)


async def test_a_backend_that_takes_no_treated_request_is_asked_under_the_next_rung_and_never_sees_the_name() -> None:
    painter = Painter(refuses=lambda body, _: "Unknown parameter" if "negative_prompt" in body else None)
    painter.capabilities |= {Capability.NEGATIVE_PROMPT}
    pictured = await drawn(painter, ask_for(n=4), treatment="negative_prompt")
    assert pictured.album.status == 200
    assert len(pictured.items) == 4
    assert pictured.sent == "a house"
    # The entry's name leaves for the server in the field of what not to draw, never as what to draw.
    assert [NAME in prompt for prompt in painter.prompts] == [True, False, False]
    assert [NAME in body.get("negative_prompt", "") for body, _ in painter.seen] == [True, True, False]


async def test_a_request_at_fault_is_told_so_after_one_picture_was_asked_for() -> None:
    painter = Painter(refuses=lambda body, _: f"No such quality beside {body['prompt']}")
    pictured = await drawn(painter, ask_for(n=4, seed=5, quality="ultra"))
    assert pictured.album.status == 400
    assert orjson.loads(pictured.album.raw)["error"]["message"] == f"No such quality beside {PROMPT}"
    assert painter.prompts == ["a house", NEUTRAL_PROMPT, PROMPT]
    assert painter.seen[-1][0] == {"prompt": PROMPT, "n": 1, "seed": 5, "quality": "ultra"}


async def test_a_fault_that_one_picture_alone_does_not_show_is_told_of_the_neutral_request() -> None:
    painter = Painter(refuses=lambda body, _: "'n' must be 1" if body.get("n", 1) > 1 else None)
    pictured = await drawn(painter, ask_for(n=2))
    assert (pictured.album.status, orjson.loads(pictured.album.raw)["error"]["message"]) == (400, "'n' must be 1")
    telling = Painter(refuses=lambda body, _: f"not {body['prompt']}" if body.get("n", 1) > 1 else None)
    with pytest.raises(ApiError) as caught:
        await drawn(telling, ask_for(n=2))
    assert caught.value.status == 503


STEERED = frozenset({Capability.IMAGES, Capability.STEERING})
WATCH = NamedSteering("watch")


async def test_a_plan_does_not_end_the_watch_over_other_entries() -> None:
    painter = Painter(capabilities=STEERED)
    await drawn(painter, ask_for(), watch=WATCH)
    assert [steering for _, steering in painter.seen] == ["prototype+watch"]


async def test_the_neutral_prompt_needs_no_watch() -> None:
    painter = Painter(capabilities=STEERED)
    await drawn(painter, ask_for(), watch=WATCH, treatment="blank")
    assert painter.seen[0][1] == ""


@pytest.mark.parametrize("has_plan", [False, True])
async def test_what_cannot_be_watched_is_drawn_only_where_the_policy_lets_detectors_fail(has_plan: bool) -> None:
    more: dict[str, Any] = {"treatment": "rewrite"} if has_plan else {"plan": None, "concepts": ()}
    painter = Painter(capabilities=STEERED, cannot="watch")
    with pytest.raises(ApiError) as caught:
        await drawn(painter, ask_for(), watch=WATCH, **more)
    assert caught.value.status == 503
    assert [steering for _, steering in painter.seen] == ["watch"]
    open_ = Painter(capabilities=STEERED, cannot="watch")
    assert (await drawn(open_, ask_for(), watch=WATCH, fails_open=True, **more)).album.status == 200
    assert [steering for _, steering in open_.seen] == ["watch", ""]


async def test_an_answer_that_nothing_was_done_to_keeps_its_bytes() -> None:
    painter = Painter()
    ask = ask_for()
    pictured = await drawn(painter, ask, plan=None)
    assert retold_answer(ask, pictured, pictured.items) == pictured.album.raw
    assert painter.prompts == [PROMPT]
