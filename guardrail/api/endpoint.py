"""What an endpoint of the data plane is, and what it gets: a received request and the proxy's services.

Endpoints know paths and bodies; they do not know ASGI messages (`data_plane` does) nor how the services are made.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from guardrail.backends.router import Router
from guardrail.decision import Caller
from guardrail.errors import ApiError
from guardrail.flow import Flow
from guardrail.picture_flow import PictureFlow
from guardrail.picture_shelf import PictureShelf
from guardrail.replies import Outgoing
from guardrail.settings import Settings
from retrieval.follower import Follower


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """A request as it came. `read` gives the body's bytes (413 beyond the limit).

    `path` is decoded, `raw_path` as it stood on the wire; `headers` are those that may be passed on.
    """

    method: str
    path: str
    raw_path: str
    query: str
    headers: Sequence[tuple[bytes, bytes]]
    caller: Caller
    request_id: str
    explain: bool
    read: Callable[[], Awaitable[bytes]]

    async def json(self) -> tuple[dict[str, Any], bytes]:
        """The body as a JSON object, and its bytes. Raises `ApiError` (400) that names what is wrong."""
        raw = await self.read()
        return decode_object(raw), raw


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """What endpoints work with. Without a `shelf` pictures are never given by address."""

    settings: Settings
    flow: Flow
    router: Router
    follower: Follower
    picture_flow: PictureFlow
    shelf: PictureShelf | None = None


class Endpoint:
    """A path with its methods and handler; `label` names it in metrics. One that `is_open` asks for no key."""

    def __init__(
        self,
        label: str,
        methods: Sequence[str],
        handle: Callable[[Received, Services], Awaitable[Outgoing]],
        *,
        is_open: bool = False,
    ) -> None:
        self.label = label
        self.methods = frozenset(methods)
        self.handle = handle
        self.is_open = is_open


def decode_object(raw: bytes) -> dict[str, Any]:
    """Decode a JSON object; raises `ApiError` (400) for other bytes."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if not _is_utf8(raw):
            raise ApiError("The body is not UTF-8; send JSON encoded as UTF-8.", code="invalid_encoding") from None
        where = f"line {error.lineno}, column {error.colno}"
        raise ApiError(f"The body is not valid JSON ({where}).", code="invalid_json") from None
    if not isinstance(body, dict):
        raise ApiError("The body must be a JSON object.", code="invalid_json")
    return body


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
