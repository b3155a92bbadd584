"""One request for pictures while it is drawn: under its plan, looked at, and drawn anew where a picture shows an entry.

A picture that shows an entry is drawn with its own seed under the next rung of the ladder, and alone. At the ladder's end a
neutral prompt is drawn in its place by the same model: a plain tile, or an answer that comes at once, would tell that
something was found. A plain picture is left only where that shows an entry, too. What cannot be looked at does not leave.
A backend that takes no treated request is asked under the next rung; the caller's own goes to it only at the ladder's end,
for one picture, to learn what is wrong with it. It decides nothing: what shows, and what is stricter, is asked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, Final

from guardrail.backends.picture_fetch import PictureFetcher
from guardrail.backends.router import Route
from guardrail.decision import Capability
from guardrail.errors import ApiError, BackendError, overloaded
from guardrail.openai_wire import images
from guardrail.picture_sending import (
    NEUTRAL_PROMPT,
    Album,
    PictureAsk,
    body_under,
    from_nothing,
    grey,
    item_of,
    one_of,
    retold,
    retold_item,
    send_own,
    send_treated,
)
from guardrail.pictures import Concept, Drawn, PictureLeak, PicturePlan, Steering
from guardrail.treatments.image.together import joined, together

MOST_ROUNDS: Final = 8
"""Longer than any way down the ladder."""
_CALLERS_FAULT: Final = frozenset({400, 404, 413, 415, 422})


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Where a request stands on the ladder: what must not be drawn, and the plan for that. `met_in`: fields besides the
    prompt in which an entry was met."""

    plan: PicturePlan | None
    concepts: tuple[Concept, ...] = ()
    watch: Steering | None = None
    """For entries that were not met: leaves the drawing as it is unless the prompt turns out to mean one."""
    met_in: frozenset[object] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictured:
    """An answer with its pictures: `items` as they are to leave. `is_own`: all are the backend's answer to the caller's own
    bytes; `is_treated`: the album is not. `sent`: the prompt that it was drawn of."""

    album: Album
    items: tuple[Mapping[str, Any], ...] = ()
    is_own: bool = True
    is_treated: bool = False
    sent: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hands:
    """What the drawing asks of the flow. `look` is None where pictures are not looked at; `note` writes leaks down;
    `unwatched` is told that a watch failed, and raises where nothing may be drawn then."""

    look: Callable[[Sequence[Drawn]], Awaitable[list[PictureLeak]]] | None
    note: Callable[[Sequence[PictureLeak]], None]
    stricter: Callable[[Standing, Sequence[PictureLeak]], Awaitable[Standing]]
    fetcher: Callable[[], PictureFetcher]
    unwatched: Callable[[], None]


class Drawing:
    """One request while it is drawn."""

    def __init__(self, ask: PictureAsk, route: Route, hands: Hands) -> None:
        self._ask = ask
        self._route = route
        self._hands = hands
        self._refused: Album | None = None
        """The backend's word on a neutral prompt, where it did not take one."""

    async def run(self, standing: Standing) -> Pictured:
        """Draw all that is asked for, look, and draw anew what may not leave."""
        standing, album = await self._drawn(standing, None)
        is_own = standing.plan is None
        if album is None:
            return await self._at_fault()
        if album.status >= 400:
            return as_it_is(album)
        items = [dict(item) if is_own else retold_item(item, self._ask) for item in album.items]
        sent = _prompt_under(self._ask, standing.plan)
        replaced = await self._looked_at(standing, album, items)
        return Pictured(
            album=album, items=tuple(items), is_own=is_own and not replaced, is_treated=not is_own, sent=sent
        )

    async def _at_fault(self) -> Pictured:
        """What is wrong with the request itself, where the backend took it under no plan: its word on the caller's own, for
        one picture; else on the neutral prompt in its place, which held all but the caller's texts. Raises 503."""
        own = await send_treated(self._ask, self._route, None, one_of(self._ask.body, self._ask.asked.seed))
        told = own if own.status >= 400 else self._refused
        if told is None or (told is not own and NEUTRAL_PROMPT.encode() in told.raw):
            raise _cannot()
        return as_it_is(told)

    async def _looked_at(self, standing: Standing, album: Album, items: list[dict[str, Any]]) -> set[int]:
        """Look at the pictures, and put others in `items` for those that show an entry; which ones."""
        replaced: set[int] = set()
        if self._hands.look is None:
            return replaced
        shown = await self._read(album)
        for _ in range(MOST_ROUNDS):
            leaks = await self._hands.look(shown)
            places = sorted({leak.index for leak in leaks})
            if not places:
                return replaced
            self._hands.note(leaks)
            replaced |= set(places)
            bad = [picture for picture in shown if picture.index in places]
            is_end = standing.plan is not None and standing.plan.is_blank
            if not is_end:
                standing = await self._hands.stricter(standing, leaks)
            shown = []
            for picture in bad:
                standing, anew = (standing, None) if is_end else await self._anew(standing, picture)
                if anew is None:
                    held = {key: value for key, value in items[picture.index].items() if key != "url"}
                    plain = item_of(await grey(self._ask, picture))
                    items[picture.index] = retold_item({**held, **plain}, self._ask)
                    continue
                items[picture.index], drawn = anew
                shown.append(drawn)
            if not shown:
                return replaced
        raise _cannot()  # the ladder has an end; nothing that was not looked at may leave

    async def _anew(self, standing: Standing, old: Drawn) -> tuple[Standing, tuple[dict[str, Any], Drawn] | None]:
        """Another picture in the place of one; None where nothing can be drawn."""
        standing, album = await self._drawn(standing, old)
        if album is None or album.status >= 400 or not album.items:
            return standing, None
        drawn = (await self._read(album))[0]
        return standing, (retold_item(album.items[0], self._ask), replace(drawn, index=old.index))

    async def _drawn(self, standing: Standing, anew: Drawn | None) -> tuple[Standing, Album | None]:
        """Draw under the standing's plan, or under the next that the backend carries out; None if it carries out none."""
        for _ in range(MOST_ROUNDS):
            if standing.plan is None:
                return standing, await self._watched(standing)
            album = await self._tried(standing, anew)
            if album is not None or standing.plan.is_blank:
                return standing, album
            standing = await self._hands.stricter(standing, ())
        return standing, None

    async def _watched(self, standing: Standing) -> Album:
        """The caller's own request; where the watch fails, as the policy says of detectors that fail."""
        if standing.watch is not None:
            try:
                return await send_own(self._ask, self._route, steering=standing.watch)
            except BackendError as error:
                if error.status != 500:
                    raise
                self._hands.unwatched()
        return await send_own(self._ask, self._route)

    async def _tried(self, standing: Standing, anew: Drawn | None) -> Album | None:
        """The answer under a plan; None where the backend does not take the request so.

        The backend's words on a treated request may repeat what was sent, so they are never told.
        """
        is_blank = standing.plan is not None and standing.plan.is_blank
        for under in _with_and_without(self._neutral(standing) if is_blank else standing.plan):
            body = body_under(self._ask, under, met_in=standing.met_in)
            if is_blank:
                steers = Capability.STEERING in self._route.backend.capabilities
                body = await from_nothing(self._ask, body, steers=steers)
            if anew is not None:
                body = one_of(body, anew.seed if anew.seed is not None else self._seed(anew.index))
            album = await self._steered(under, None if is_blank else standing.watch, body)
            if album is None or album.status < 400:
                return album
            if album.status not in _CALLERS_FAULT:
                raise _refused(album.status)
            if is_blank and under is not None and not under.negative_prompt:
                self._refused = album
        return None

    async def _steered(self, plan: PicturePlan | None, watch: Steering | None, body: Mapping[str, Any]) -> Album | None:
        """The answer under a plan and a watch; None where the pipeline cannot be steered in the plan's way."""
        whole = plan
        if plan is not None and watch is not None:
            whole = replace(plan, steering=together([plan, PicturePlan(treatment="", steering=watch)]).steering)
        try:
            return await send_treated(self._ask, self._route, whole, body)
        except BackendError as error:
            if error.status != 500 or whole is None or whole.steering is None:
                raise
            if watch is None or (plan is not None and plan.steering is not None):
                return None
        self._hands.unwatched()
        return await send_treated(self._ask, self._route, plan, body)

    def _neutral(self, standing: Standing) -> PicturePlan:
        """A picture of nothing in particular, led away from the entries where the model can be."""
        words = [phrase for concept in standing.concepts for phrase in concept.phrases[:4]]
        can = Capability.NEGATIVE_PROMPT in self._route.backend.capabilities
        return PicturePlan(
            treatment="blank", prompt=NEUTRAL_PROMPT, negative_prompt=joined(*words) if can else "", is_blank=True
        )

    def _seed(self, place: int) -> int | None:
        return self._ask.asked.seed + place if self._ask.asked.seed is not None else None

    async def _read(self, album: Album) -> list[Drawn]:
        async with AsyncExitStack() as stack:
            fetch = None
            if any(item.get("b64_json") is None for item in album.items):
                fetch = (await stack.enter_async_context(self._hands.fetcher())).fetch
            return await images.read_answer(album.raw, fetch=fetch)


def _with_and_without(plan: PicturePlan | None) -> list[PicturePlan | None]:
    """A plan, and what is left of it on servers that know no negative prompt."""
    if plan is None or not plan.negative_prompt:
        return [plan]
    without = replace(plan, negative_prompt="")
    return [plan, without] if without.prompt is not None or without.steering is not None else [plan]


def _prompt_under(ask: PictureAsk, plan: PicturePlan | None) -> str:
    if plan is None:
        return ask.asked.prompt
    return NEUTRAL_PROMPT if plan.is_blank else plan.prompt if plan.prompt is not None else ask.asked.prompt


def as_it_is(album: Album) -> Pictured:
    """A backend's answer, nothing of which is changed."""
    return Pictured(album=album, items=album.items)


def retold_answer(ask: PictureAsk, pictured: Pictured, items: Sequence[Mapping[str, Any]]) -> bytes:
    """The answer's body with these items; the backend's own bytes where nothing of it was changed."""
    if pictured.is_own and list(items) == list(pictured.album.items):
        return pictured.album.raw
    sent = pictured.sent or ask.asked.prompt
    return retold(pictured.album, items, ask, sent=sent, is_treated=pictured.is_treated)


def _refused(status: int) -> BackendError:
    kind = "rate_limit_error" if status == 429 else "server_error"
    return BackendError(
        "The backend cannot take this request at the moment.", status=status, type=kind, code="backend_refused"
    )


def _cannot() -> ApiError:
    return overloaded("The service cannot give this picture at the moment.", retry_after_s=2.0)
