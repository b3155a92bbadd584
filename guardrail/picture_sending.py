"""Forward for pictures: what goes to a backend that draws, and what of its answer goes on to the caller.

A request that no treatment touches is sent byte by byte, and its answer keeps its bytes. Otherwise only texts that are
read here go out, so that no other reaches the model; the answer keeps the backend's own envelope and form, told about the
caller's own prompt (`openai_wire.image_answers`). It knows no entries and looks at no picture.
"""

from __future__ import annotations

import asyncio
import base64
import io
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final

import orjson

from guardrail.backends.protocol import BackendCall, Capability
from guardrail.backends.router import Route
from guardrail.decision import Caller, JsonPath, Passage, Role
from guardrail.errors import ApiError, BackendError
from guardrail.forward import answered_headers, renamed_call
from guardrail.openai_wire import images, picture_edits
from guardrail.openai_wire.image_answers import holds_no_text, told_answer, told_item, told_usage, wordless_item
from guardrail.openai_wire.picture_inputs import PictureInput
from guardrail.pictures import Drawn, PictureFormat, PicturePlan, PictureRequest, Steering
from guardrail.replies import Headers
from guardrail.streaming.relay import read_all
from retrieval.picture_files import open_picture

ANSWER_BYTES: Final = 512 * 1024 * 1024
NEUTRAL_PROMPT: Final = "a picture"
"""What is drawn where nothing of the caller's prompt may be. It takes as long, and looks as much drawn, as any other."""
_GREY: Final = (128, 128, 128)
_SIDE: Final = 1024
_FIELDS: Final = (
    "model prompt n size seed negative_prompt num_inference_steps steps guidance_scale cfg_scale response_format "
    "output_format output_compression quality background moderation style user stream partial_images"
)
_KNOWN: Final = frozenset(_FIELDS.split())
_KNOWN_OF_EDITS: Final = _KNOWN | {"image", "mask", "strength", "input_fidelity"}
MOST_TEXTS: Final = 64
MOST_CHARS: Final = 32_000
"""Of texts in fields that are not known here. What is beyond is never sent on without having been read."""
_INLINE_PICTURE: Final = re.compile(r"data:image/[a-z0-9.+-]{1,40};base64,[A-Za-z0-9+/]{1000,}={0,2}", re.ASCII)
_SETTING: Final = re.compile(r"[A-Za-z0-9_:./-]+", re.ASCII)
"""A value of a server's own that says nothing beyond itself."""
_LEADS: Final = ("cfg", "guidance")
_LEAST_LEAD: Final = 3.0
"""Below, what leads a picture away from something hardly does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureAsk:
    """A received request: what is asked, its own bytes, who asks, and what may be passed on of its headers. `body` of a
    form is what `openai_wire.picture_edits` reads in it."""

    asked: PictureRequest
    body: Mapping[str, Any]
    raw: bytes
    caller: Caller
    request_id: str
    query: str = ""
    headers: Headers = field(default=())
    explain: bool = False
    path: str = images.PATH

    @property
    def is_edit(self) -> bool:
        """True if pictures are handed in to be changed."""
        return self.path == picture_edits.PATH

    @property
    def known(self) -> frozenset[str]:
        """The fields that are read here."""
        return _KNOWN_OF_EDITS if self.is_edit else _KNOWN


@dataclass(frozen=True, kw_only=True, slots=True)
class Album:
    """A backend's answer: `items` are the pictures as it gave them. `raw` are its own bytes."""

    status: int
    headers: list[tuple[bytes, bytes]]
    raw: bytes
    envelope: Mapping[str, Any] = field(default_factory=dict)
    items: tuple[Mapping[str, Any], ...] = ()


def handed_in(ask: PictureAsk) -> list[PictureInput]:
    """The pictures that are to be changed."""
    return picture_edits.handed_in(ask.body) if ask.is_edit else []


def passages(ask: PictureAsk) -> list[Passage]:
    """The prompt, then every text in fields and of values that are not known here: some servers read more prompts than one.
    Where there are too many (see `refuse_unreadable`) the first are given."""
    texts = [Passage(path=path, role=Role.USER, text=text) for path, text in islice(_other_texts(ask), MOST_TEXTS)]
    return [*images.passages(ask.asked), *texts]


def refuse_unreadable(ask: PictureAsk) -> None:
    """Raises `ApiError` (400) for more texts in unknown fields than are read: behind them anything could be asked for."""
    read = chars = 0
    for path, text in _other_texts(ask):
        read, chars = read + 1, chars + len(text)
        if read > MOST_TEXTS or chars > MOST_CHARS:
            raise ApiError(
                f"Fields beyond those of the images API hold more than {MOST_TEXTS} texts or {MOST_CHARS} characters; "
                f"leave some out, such as '{str(path[0])[:40]}'.",
                param=str(path[0])[:40],
                code="unsupported_value",
            )


def _other_texts(ask: PictureAsk) -> Iterator[tuple[JsonPath, str]]:
    strange = {key: value for key, value in ask.body.items() if key not in ask.known}
    yield from _texts((), {**images.other_values(ask.body), **strange})


def _texts(path: JsonPath, value: Any) -> Iterator[tuple[JsonPath, str]]:
    """Texts and, below the body's own fields, the names that values stand under; pictures handed in are none."""
    if isinstance(value, str):
        if value and _INLINE_PICTURE.fullmatch(value) is None:
            yield path, value
    elif isinstance(value, (dict, list)):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            if path and isinstance(key, str):
                yield (*path, key), key
            yield from _texts((*path, key), inner)


def as_read(ask: PictureAsk) -> PictureAsk:
    """The request written as it was read here, so that a backend reads nothing else in it: of one form two readers may make
    different things. What is no form keeps its bytes."""
    return replace(ask, raw=b"") if ask.is_edit else ask


async def send_own(ask: PictureAsk, route: Route, *, steering: Steering | None = None) -> Album:
    """Send the caller's own bytes, or his body where there are none (`as_read`)."""
    return await _sent(route, replace(_call(ask, route, None if ask.raw else ask.body), steering=steering))


async def send_treated(ask: PictureAsk, route: Route, plan: PicturePlan | None, body: Mapping[str, Any]) -> Album:
    """Send a body that is not the caller's own, under the plan's steering where the backend can carry it out. The pictures
    come back without words in their files, which would tell what was sent."""
    can_steer = Capability.STEERING in route.backend.capabilities
    steering = plan.steering if plan is not None and can_steer else None
    album = await _sent(route, replace(_call(ask, route, body), steering=steering))
    if plan is None or not album.items:
        return album
    return replace(album, items=await asyncio.to_thread(lambda: tuple(map(wordless_item, album.items))))


def body_under(ask: PictureAsk, plan: PicturePlan | None, *, met_in: Container[object] = ()) -> dict[str, Any]:
    """The caller's request as a plan wants it sent: without texts in fields that are not known here, and without those of
    `met_in`, in which an entry was met. The plan's negative words come first, as encoders cut off what is behind."""
    if plan is None:
        return dict(ask.body)
    body = {key: value for key, value in ask.body.items() if _goes_out(ask, plan, key, value) and key not in met_in}
    body["prompt"] = ask.asked.prompt if plan.prompt is None else plan.prompt
    if plan.negative_prompt:
        own = ask.asked.negative_prompt
        body["negative_prompt"] = f"{plan.negative_prompt}, {own}" if own else plan.negative_prompt
    return body


def _goes_out(ask: PictureAsk, plan: PicturePlan, key: str, value: Any) -> bool:
    """True for a field that brings no text of its own to the model, and does not undo the plan."""
    if key in ask.known:
        return _SETTING.fullmatch(images.other_values(ask.body).get(key, "-")) is not None
    return holds_no_text(value) and not (plan.negative_prompt and _is_weak({key: value}))


def _is_weak(value: Any) -> bool:
    """True where a field for guidance, under whatever name, says that a picture is hardly led at all."""
    if not isinstance(value, Mapping):
        return isinstance(value, list) and any(map(_is_weak, value))
    return any(
        inner < _LEAST_LEAD
        if isinstance(inner, (int, float)) and any(word in key.lower() for word in _LEADS)
        else _is_weak(inner)
        for key, inner in value.items()
    )


def one_of(body: Mapping[str, Any], seed: int | None) -> dict[str, Any]:
    """The body that asks for one picture of it, with the noise that this picture had."""
    single = {key: value for key, value in body.items() if key not in ("n", "seed")}
    if "n" in body:
        single["n"] = 1
    return single if seed is None else {**single, "seed": seed}


async def from_nothing(ask: PictureAsk, body: Mapping[str, Any], *, steers: bool) -> dict[str, Any]:
    """The body of an edit with plain pictures of the same size in the place of those handed in, all to be drawn anew; any
    other as it is. `steers`: the backend reads `strength`."""
    if not ask.is_edit:
        return dict(body)
    plain = [await asyncio.to_thread(_plain_like, content) for content in ask.asked.pictures]
    kept = {key: value for key, value in body.items() if key not in ("mask", "strength")}
    return {**kept, "image": plain, **({"strength": 1.0} if steers else {})}


def _call(ask: PictureAsk, route: Route, body: Mapping[str, Any] | None) -> BackendCall:
    """`body` None: the caller's own bytes."""
    raw, headers = _packed(ask, route, body)
    return BackendCall(
        path=ask.path,
        body=raw,
        query=ask.query,
        headers=headers,
        model=route.upstream_model,
        fair_key=ask.caller.key_id or ask.caller.tenant,
    )


def _packed(ask: PictureAsk, route: Route, body: Mapping[str, Any] | None) -> tuple[bytes, Headers]:
    """A body with the backend's own model name, and the headers that go with it."""
    if not ask.is_edit:
        return renamed_call(ask.raw if body is None else orjson.dumps(dict(body)), route), ask.headers
    if body is None and not route.is_renamed:
        return ask.raw, ask.headers
    named = dict(ask.body if body is None else body)
    if route.is_renamed and "model" in named:
        named["model"] = route.upstream_model
    raw, kind = picture_edits.write_form(named)
    return raw, [*(pair for pair in ask.headers if pair[0].lower() != b"content-type"), (b"content-type", kind)]


async def _sent(route: Route, call: BackendCall) -> Album:
    answer = await route.backend.send(call)
    raw = await read_all(answer, max_bytes=ANSWER_BYTES)
    headers = answered_headers(answer)
    if answer.status >= 400:
        return Album(status=answer.status, headers=headers, raw=raw)
    try:
        told = orjson.loads(raw)
        items = tuple(dict(item) for item in told["data"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        raise BackendError(
            "The image server answered with no list of pictures.",
            status=502,
            type="server_error",
            code="backend_bad_answer",
        ) from None
    return Album(status=answer.status, headers=headers, raw=raw, envelope=told, items=items)


def retold(
    album: Album, items: Sequence[Mapping[str, Any]], ask: PictureAsk, *, sent: str, is_treated: bool = True
) -> bytes:
    """The answer with these items, told about the caller's own prompt. `sent`: the prompt that was drawn."""
    around = told_answer(album.envelope) if is_treated else album.envelope
    envelope = {**around, "data": list(items)}
    usage = envelope.get("usage")
    if isinstance(usage, Mapping) and sent != ask.asked.prompt:
        envelope["usage"] = told_usage(usage, sent=sent, own=ask.asked.prompt)
    return orjson.dumps(envelope)


def retold_item(item: Mapping[str, Any], ask: PictureAsk) -> dict[str, Any]:
    """A picture as the backend gave it, without its word on what was drawn."""
    return told_item(item, prompt=ask.asked.prompt)


async def grey(ask: PictureAsk, like: Drawn) -> Drawn:
    """A plain picture of the same size and format, for where not even the neutral one may be shown."""
    content = await asyncio.to_thread(_painted, ask.asked, like)
    return replace(like, content=content)


def _painted(asked: PictureRequest, like: Drawn) -> bytes:
    from PIL import Image

    size = (asked.width or _SIDE, asked.height or _SIDE)
    if like.content:
        with Image.open(io.BytesIO(like.content), formats=("PNG", "JPEG", "WEBP")) as opened:
            size = opened.size
    out = io.BytesIO()
    Image.new("RGB", size, _GREY).save(out, format=like.format.upper())
    return out.getvalue()


def _plain_like(content: bytes) -> str:
    """A plain picture as large as one that was handed in, as a data URL."""
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", open_picture(content).size, _GREY).save(out, format="PNG")
    return picture_edits.data_url(out.getvalue())


def item_of(picture: Drawn) -> dict[str, Any]:
    """A picture of Expunge's own as an item of an answer."""
    item: dict[str, Any] = {"b64_json": base64.b64encode(picture.content).decode()}
    return item if picture.seed is None else {**item, "seed": picture.seed}


def unpacked(item: Mapping[str, Any]) -> tuple[bytes, PictureFormat] | None:
    """The bytes of an item that holds its picture, and their format; None for one that gives an address."""
    inline = item.get("b64_json")
    if not isinstance(inline, str):
        return None
    content = base64.b64decode(inline)
    found = images.sniff(content)
    return (content, found) if found is not None else None
