"""Forward for pictures: what goes to a backend that draws, and what of its answer goes on to the caller.

A request that no treatment touches is sent byte by byte, and its answer keeps its bytes. Otherwise only fields that are
read here go out, so that no other text reaches the model; the answer keeps the backend's own envelope and form, told about
the caller's own prompt. It knows no entries and looks at no picture.
"""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from guardrail.backends.protocol import BackendCall, Capability
from guardrail.backends.router import Route
from guardrail.decision import Caller, JsonPath, Passage, Role
from guardrail.errors import BackendError
from guardrail.forward import answered_headers, renamed_call
from guardrail.openai_wire import images
from guardrail.openai_wire.protocol import count_tokens
from guardrail.pictures import Drawn, PictureFormat, PicturePlan, PictureRequest, Steering
from guardrail.replies import Headers
from guardrail.streaming.relay import read_all

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
_MOST_TEXTS: Final = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureAsk:
    """A received request: what is asked, its own bytes, who asks, and what may be passed on of its headers."""

    asked: PictureRequest
    body: Mapping[str, Any]
    raw: bytes
    caller: Caller
    request_id: str
    query: str = ""
    headers: Headers = field(default=())
    explain: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Album:
    """A backend's answer: `items` are the pictures as it gave them. `raw` are its own bytes."""

    status: int
    headers: list[tuple[bytes, bytes]]
    raw: bytes
    envelope: Mapping[str, Any] = field(default_factory=dict)
    items: tuple[Mapping[str, Any], ...] = ()


def passages(ask: PictureAsk) -> list[Passage]:
    """The prompt, then every text in fields that are not known here: some servers read more prompts than one."""
    other = {key: value for key, value in ask.body.items() if key not in _KNOWN}
    texts = [Passage(path=path, role=Role.USER, text=text) for path, text in _texts((), other)]
    return [*images.passages(ask.asked), *texts[:_MOST_TEXTS]]


def _texts(path: JsonPath, value: Any) -> Iterator[tuple[JsonPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, (dict, list)):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            yield from _texts((*path, key), inner)


async def send_own(ask: PictureAsk, route: Route, *, steering: Steering | None = None) -> Album:
    """Send the caller's own bytes."""
    return await _sent(route, replace(_call(ask, route, ask.raw), steering=steering))


async def send_treated(ask: PictureAsk, route: Route, plan: PicturePlan | None, body: Mapping[str, Any]) -> Album:
    """Send a body that is not the caller's own, under the plan's steering where the backend can carry it out."""
    can_steer = Capability.STEERING in route.backend.capabilities
    steering = plan.steering if plan is not None and can_steer else None
    return await _sent(route, replace(_call(ask, route, orjson.dumps(dict(body))), steering=steering))


def body_under(ask: PictureAsk, plan: PicturePlan | None) -> dict[str, Any]:
    """The caller's request as a plan wants it sent."""
    if plan is None:
        return dict(ask.body)
    body = {key: value for key, value in ask.body.items() if key in _KNOWN}
    if plan.prompt is not None:
        body["prompt"] = plan.prompt
    if plan.negative_prompt:
        own = ask.asked.negative_prompt
        body["negative_prompt"] = f"{own}, {plan.negative_prompt}" if own else plan.negative_prompt
    return body


def one_of(body: Mapping[str, Any], seed: int | None) -> dict[str, Any]:
    """The body that asks for one picture of it, with the noise that this picture had."""
    single = {key: value for key, value in body.items() if key not in ("n", "seed")}
    if "n" in body:
        single["n"] = 1
    return single if seed is None else {**single, "seed": seed}


def _call(ask: PictureAsk, route: Route, raw: bytes) -> BackendCall:
    return BackendCall(
        path=images.PATH,
        body=renamed_call(raw, route),
        query=ask.query,
        headers=ask.headers,
        model=route.upstream_model,
        fair_key=ask.caller.key_id or ask.caller.tenant,
    )


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


def retold(album: Album, items: Sequence[Mapping[str, Any]], ask: PictureAsk, *, sent: str) -> bytes:
    """The answer with these pictures, its usage that of the caller's own prompt. `sent` is the prompt that was drawn."""
    envelope = {**album.envelope, "data": list(items)}
    usage = envelope.get("usage")
    if isinstance(usage, Mapping) and sent != ask.asked.prompt:
        envelope["usage"] = _own_usage(usage, sent=sent, own=ask.asked.prompt)
    return orjson.dumps(envelope)


def retold_item(item: Mapping[str, Any], ask: PictureAsk) -> dict[str, Any]:
    """A picture as the backend gave it, without its word on what was drawn."""
    kept = {key: item[key] for key in ("b64_json", "url", "seed") if key in item}
    return {**kept, "revised_prompt": ask.asked.prompt} if "revised_prompt" in item else kept


def _own_usage(usage: Mapping[str, Any], *, sent: str, own: str) -> dict[str, Any]:
    before = usage.get("input_tokens")
    if not isinstance(before, int):
        return dict(usage)
    is_by_length = before == count_tokens(sent)
    read = count_tokens(own) if is_by_length else max(1, round(before * len(own) / max(1, len(sent))))
    told = {**usage, "input_tokens": read}
    if isinstance(usage.get("total_tokens"), int):
        told["total_tokens"] = usage["total_tokens"] - before + read
    details = usage.get("input_tokens_details")
    if isinstance(details, Mapping) and details.get("text_tokens") == before:
        told["input_tokens_details"] = {**details, "text_tokens": read}
    return told


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
