"""The admin listener's door, as pure ASGI: only admin keys come in, and whatever breaks inside leaves as a plain 500.

Knows no routes but the two that probes may call without a key. Bodies are not touched.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guardrail.api.admin.errors import error_response, unforeseen
from guardrail.auth import Authenticator
from guardrail.decision import Caller
from guardrail.errors import ApiError
from guardrail.settings import is_loopback

CALLER_KEY: Final = "expunge.caller"
"""Where in the ASGI scope the caller is found; absent for a probe without a key."""

# An orchestrator's probes carry no key. Both answer without details then.
_OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})


def caller_of(scope: Scope) -> Caller | None:
    """The authenticated caller, or None for a probe without a key."""
    caller = scope.get(CALLER_KEY)
    return caller if isinstance(caller, Caller) else None


def refuse_strangers(scope: Scope) -> None:
    """Without keys, only this machine may administer: a web page's requests carry its origin, or a name that was bound to
    this address. Raises `ApiError` (403)."""
    named = {name: value.decode("latin-1") for name, value in scope["headers"] if name in (b"host", b"origin")}
    host = urlsplit(f"//{named.get(b'host', '')}").hostname or ""
    origin = named.get(b"origin")
    foreign = origin is not None and not is_loopback(urlsplit(origin).hostname or "")
    is_public = "." in host and not is_loopback(host)  # a bare name is no web site's
    if foreign or is_public:
        raise ApiError(
            "Without keys the admin API answers this machine only; set auth.required: true and use an admin key.",
            status=403,
            type="permission_error",
            code="foreign_origin",
        )


class AdminGate:
    """Authenticates every HTTP request before it reaches a route."""

    def __init__(self, app: ASGIApp, *, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            if not self._authenticator.required:
                refuse_strangers(scope)
            scope[CALLER_KEY] = await self._authenticator.authenticate(scope["headers"], admin_listener=True)
        except ApiError as error:
            if scope["path"] not in _OPEN_PATHS:
                await error_response(error)(scope, receive, send)
                return
        await self._run(scope, receive, send)

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except ClientDisconnect:
            return  # nobody is left to answer
        except Exception as error:  # noqa: BLE001 - the outermost handler of this listener
            answer = error_response(unforeseen(error))
            if not started:
                await answer(scope, receive, send)
