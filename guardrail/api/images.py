"""`POST /v1/images/generations`, `POST /v1/images/edits`, and `GET /v1/images/files/...` for who wants addresses.

Pictures leave in the form that the caller asked for, whoever drew them. An address is made of the name under which the
caller reached this server; whoever knows it may fetch the picture, as with OpenAI's. With several workers there are no
addresses, as another worker would not have the picture: then pictures are given in themselves. Of several replicas only the
one that drew a picture has it: their balancer must keep a caller at one, or callers must ask for `b64_json`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Final

from guardrail.api.endpoint import Endpoint, Received, Services
from guardrail.api.generation import check_scope
from guardrail.errors import ApiError, not_found
from guardrail.openai_wire import images, picture_edits
from guardrail.openai_wire.json_bytes import replace_string
from guardrail.picture_drawing import Pictured, retold_answer
from guardrail.picture_sending import PictureAsk, unpacked
from guardrail.picture_shelf import PATH as FILES
from guardrail.picture_shelf import PictureShelf
from guardrail.pictures import PictureRequest
from guardrail.replies import Outgoing
from retrieval.picture_files import PictureRefused, open_picture

_HOST: Final = re.compile(r"[A-Za-z0-9.\-_\[\]:]{1,300}")


async def handle(received: Received, services: Services) -> Outgoing:
    """One request for pictures."""
    body, raw = await received.json()
    return await _answered(received, services, _ask(received, body, raw, images.parse(body, may_be_other=True)))


async def handle_edit(received: Received, services: Services) -> Outgoing:
    """One request for pictures made of others. Those are opened here whoever asks and whatever is registered."""
    raw = await received.read()
    body = picture_edits.read_form(raw, received.headers)
    asked = picture_edits.parse(body, may_be_other=True)
    await asyncio.to_thread(_open_all, asked)
    return await _answered(received, services, _ask(received, body, raw, asked, path=picture_edits.PATH))


def _open_all(asked: PictureRequest) -> None:
    """Raises `ApiError` (400) for what is no picture, or too large a one."""
    for param, content in [*(("image", one) for one in asked.pictures), ("mask", asked.mask)]:
        if content is None:
            continue
        try:
            open_picture(content)
        except PictureRefused as error:
            raise ApiError(f"'{param}' {error}", param=param, code="invalid_image", should_retry=False) from None


def _ask(
    received: Received, body: Mapping[str, Any], raw: bytes, asked: PictureRequest, *, path: str = images.PATH
) -> PictureAsk:
    return PictureAsk(
        asked=asked,
        body=body,
        raw=raw,
        caller=received.caller,
        request_id=received.request_id,
        query=received.query,
        headers=received.headers,
        explain=received.explain and received.caller.is_admin,
        path=path,
    )


async def _answered(received: Received, services: Services, ask: PictureAsk) -> Outgoing:
    body, asked = ask.body, ask.asked
    await check_scope(received, services, body.get("model"))
    pictured = await services.picture_flow.run(ask)
    album = pictured.album
    if album.status >= 400:
        return Outgoing(status=album.status, headers=album.headers, body=album.raw)
    shelf = services.shelf if asked.response_format == "url" else None
    out = retold_answer(ask, pictured, _as_asked(pictured, shelf, _here(received)))
    if isinstance(body.get("model"), str) and "model" in album.envelope:
        out = replace_string(out, [("model",)], body["model"])
    return Outgoing(status=album.status, headers=album.headers, body=out)


def _as_asked(pictured: Pictured, shelf: PictureShelf | None, here: str) -> list[Mapping[str, Any]]:
    """The items, with addresses instead of pictures where there is a shelf."""
    if shelf is None:
        return list(pictured.items)
    return [_shelved(item, shelf, here) for item in pictured.items]


def _shelved(item: Mapping[str, Any], shelf: PictureShelf, here: str) -> Mapping[str, Any]:
    found = unpacked(item)
    if found is None:
        return item
    content, picture_format = found
    rest = {key: value for key, value in item.items() if key != "b64_json"}
    return {"url": f"{here}{FILES}{shelf.put(content, picture_format)}", **rest}


def _here(received: Received) -> str:
    """Scheme and host as the caller wrote them; a proxy in front may say that it is spoken to over TLS."""
    told = {name: value.decode("latin-1") for name, value in received.headers}
    host = told.get(b"host", "")
    scheme = "https" if told.get(b"x-forwarded-proto", "").lower() == "https" else "http"
    return f"{scheme}://{host if _HOST.fullmatch(host) else 'localhost'}"


async def handle_file(received: Received, services: Services) -> Outgoing:
    """A picture from the shelf."""
    found = services.shelf.find(received.path.removeprefix(FILES)) if services.shelf is not None else None
    if found is None:
        raise not_found("This picture")
    headers = ((b"content-type", found.media_type.encode()), (b"cache-control", b"private, no-store"),
               (b"x-content-type-options", b"nosniff"))  # fmt: skip
    return Outgoing(headers=headers, body=found.content)


ENDPOINT = Endpoint("images", ["POST"], handle)
EDIT_ENDPOINT = Endpoint("images", ["POST"], handle_edit)
FILE_ENDPOINT = Endpoint("image_files", ["GET"], handle_file, is_open=True)
