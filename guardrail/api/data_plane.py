"""The OpenAI-compatible listener as a raw ASGI app: routing, bodies, errors, disconnects, keep-alive comments.

It knows HTTP and nothing of forgetting. A caller who hangs up cancels the handler, which closes the backend's answer,
streaming or not. Every error leaves as an OpenAI error body; an unforeseen one as a 500 without details.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any

from guardrail.api import (
    chat_completions,
    completions,
    embeddings,
    health,
    images,
    models,
    passthrough,
    responses,
)
from guardrail.api.endpoint import Endpoint, Received, Services
from guardrail.api.sending import Send, Sender, internal_error
from guardrail.auth import Authenticator
from guardrail.decision import Caller
from guardrail.errors import ApiError, not_found, overloaded
from guardrail.metrics import Metrics
from guardrail.openai_wire.errors import error_body, error_headers
from guardrail.picture_shelf import PATH as FILES
from guardrail.replies import Outgoing
from retrieval.errors import RetrievalError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

ENDPOINTS: dict[str, Endpoint] = {
    "/v1/chat/completions": chat_completions.ENDPOINT,
    "/v1/completions": completions.ENDPOINT,
    "/v1/responses": responses.ENDPOINT,
    "/v1/embeddings": embeddings.ENDPOINT,
    "/v1/images/generations": images.ENDPOINT,
    "/v1/images/edits": images.EDIT_ENDPOINT,
    "/v1/models": models.ENDPOINT,
    "/healthz": health.ENDPOINT,
    "/health": health.ENDPOINT,
}
CLIENT_GONE = 499
"""Counted as the status of a request whose caller hung up before the first byte."""

_REQUEST_ID_CHARS = 128
_log = logging.getLogger("expunge")


class DataPlane:
    """The ASGI app."""

    def __init__(self, services: Services, authenticator: Authenticator, metrics: Metrics) -> None:
        self._services = services
        self._authenticator = authenticator
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1003})
            return
        endpoint = find_endpoint(scope["path"], scope["method"])
        label = endpoint.label if endpoint is not None else "passthrough"
        started = perf_counter()
        self._metrics.request_started()
        exchange = _Exchange(scope, receive, send, self._services.settings.server.keep_alive_comment_s)
        try:
            await self._answer(exchange, endpoint)
        except asyncio.CancelledError:
            if not exchange.hung_up:
                raise
            self._metrics.client_disconnect(label)
        finally:
            exchange.close()
            self._metrics.request_ended()
            self._metrics.request(label, exchange.sender.status or CLIENT_GONE, perf_counter() - started)

    async def _answer(self, exchange: _Exchange, endpoint: Endpoint | None) -> None:
        """Handle and send. What fails before the first byte is told as an error, what fails behind it ends the answer."""
        try:
            await exchange.sender.run(await self._handle(exchange, endpoint))
            return
        except ApiError as error:
            outgoing = self._told(error)
        except RecursionError:
            outgoing = self._told(ApiError("The body is nested too deeply to be read.", code="invalid_json"))
        except RetrievalError as error:
            _log.error("registry or detector unavailable: %s", type(error).__name__)
            outgoing = self._told(overloaded("The service cannot take this request at the moment.", retry_after_s=2.0))
        except Exception as error:  # noqa: BLE001 - the outermost handler: nothing may escape with text in it
            _log.error("unforeseen error: %s at %s", type(error).__name__, _place(error))
            outgoing = self._told(internal_error())
        # An answer that has begun is left without its end: the server closes the connection, and the caller sees it.
        if exchange.sender.status is None:
            await exchange.sender.run(outgoing)

    async def _handle(self, exchange: _Exchange, endpoint: Endpoint | None) -> Outgoing:
        method = exchange.scope["method"]
        if endpoint is not None and endpoint.is_open:
            if method not in endpoint.methods:
                return _wrong_method(method, endpoint)
            return await endpoint.handle(exchange.received(Caller(), self._services), self._services)
        caller = await self._authenticator.authenticate(exchange.scope["headers"])
        if endpoint is None:
            raise not_found("This route")
        if method not in endpoint.methods:
            return _wrong_method(method, endpoint)
        return await endpoint.handle(exchange.received(caller, self._services), self._services)

    def _told(self, error: ApiError) -> Outgoing:
        headers = error_headers(error)
        if error.code == "invalid_api_key":
            self._metrics.refused_caller("unauthenticated")
            headers.append((b"www-authenticate", b"Bearer"))
        elif error.status == 429 and error.code == "rate_limit_exceeded":
            self._metrics.refused_caller("rate_limited")
        return Outgoing(status=error.status, headers=headers, body=error_body(error))


class _Exchange:
    """One request and its answer on one connection."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, keep_alive_s: float) -> None:
        self.scope = scope
        self.hung_up = False
        self._receive = receive
        self._watch: asyncio.Task[None] | None = None
        self._request_id = _request_id(scope["headers"])
        self.sender = Sender(send, [(b"x-request-id", self._request_id)], keep_alive_s=keep_alive_s)

    def received(self, caller: Caller, services: Services) -> Received:
        headers = self.scope["headers"]
        explain = any(name == b"x-expunge-explain" and value == b"1" for name, value in headers)
        limit = services.settings.server.max_body_bytes
        passed = [pair for pair in headers if pair[0] != b"x-request-id"]
        path = self.scope["path"]
        return Received(
            method=self.scope["method"],
            path=path,
            raw_path=self.scope.get("raw_path", path.encode()).decode("latin-1"),
            query=self.scope["query_string"].decode("latin-1"),
            headers=[*passed, (b"x-request-id", self._request_id)],
            caller=caller,
            request_id=self._request_id.decode("ascii"),
            explain=explain,
            read=lambda: self._read(limit),
        )

    async def _read(self, limit: int) -> bytes:
        """The whole body; from then on a hang-up cancels the handler."""
        pieces: list[bytes] = []
        size = 0
        if _declared_bytes(self.scope["headers"]) > limit:
            raise _too_large(limit)
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.hung_up = True
                raise asyncio.CancelledError
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > limit:
                raise _too_large(limit)
            more = message.get("more_body", False)
        task = asyncio.current_task()
        if task is not None and self._watch is None:
            self._watch = asyncio.create_task(self._watch_for_hang_up(task))
        return b"".join(pieces)

    async def _watch_for_hang_up(self, handler: asyncio.Task[Any]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.hung_up = True
        handler.cancel()

    def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()


def find_endpoint(path: str, method: str) -> Endpoint | None:
    """The endpoint for a path; other `/v1` routes are passed through, anything else is nothing of ours."""
    found = ENDPOINTS.get(path)
    if found is not None:
        return found
    if path.startswith(models.PREFIX) and method == "GET":
        return models.ENDPOINT
    if path.startswith(FILES):
        return images.FILE_ENDPOINT
    return passthrough.ENDPOINT if path.startswith("/v1/") else None


def _wrong_method(method: str, endpoint: Endpoint) -> Outgoing:
    allowed = ", ".join(sorted(endpoint.methods))
    error = ApiError(f"Method {method} is not allowed here; use {allowed}.", status=405, code="method_not_allowed")
    headers = [*error_headers(error), (b"allow", allowed.encode())]
    return Outgoing(status=405, headers=headers, body=error_body(error))


def _too_large(limit: int) -> ApiError:
    return ApiError(f"The body is larger than {limit} bytes.", status=413, code="body_too_large")


def _declared_bytes(headers: list[tuple[bytes, bytes]]) -> int:
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and len(value) < 20:
            return int(value)
    return 0


def _request_id(headers: list[tuple[bytes, bytes]]) -> bytes:
    for name, value in headers:
        if name == b"x-request-id" and 0 < len(value) <= _REQUEST_ID_CHARS and value.isascii():
            if value.decode("ascii").isprintable():
                return value
            break
    return b"req_" + secrets.token_hex(12).encode()


def _place(error: BaseException) -> str:
    """File and line of an error, without its message (which may hold text)."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "?"
