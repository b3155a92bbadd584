"""Any OpenAI-compatible server over HTTP: bytes out as given, bytes back as received. This is the hot path.

It knows neither what the bytes say nor who asked. Sent on: the caller's headers without his keys and without what
belongs to his own connection, and the upstream key. Closing an answer early closes its connection, which makes vLLM
abort the generation. Error bodies (status 400 and up) are read whole and brought into OpenAI shape. Times in seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from multidict import CIMultiDict
from yarl import URL

from guardrail.backends.answers import JSON_HEADERS, InFlight, WholeAnswer
from guardrail.backends.error_bodies import normalise
from guardrail.backends.protocol import BackendAnswer, BackendCall, Capability, Health
from guardrail.errors import BackendError, ConfigError, GuardrailError, backend_down, backend_slow
from guardrail.settings import BackendSettings

KEEP_ALIVE_S = 60.0
HEALTH_TIMEOUT_S = 5.0
ERROR_LIMIT_BYTES = 1024 * 1024

_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer transfer-encoding "
    b"upgrade".split()
)
# The caller's keys stay here; lengths, hosts and encodings are those of our own connection.
_COUNTED_OF_CHATS = (
    "model",
    "messages",
    "tools",
    "chat_template",
    "chat_template_kwargs",
    "add_generation_prompt",
    "continue_final_message",
    "add_special_tokens",
)
_NOT_SENT = _HOP_BY_HOP | frozenset(
    b"authorization api-key x-api-key cookie host content-length accept-encoding expect forwarded x-forwarded-for "
    b"x-real-ip".split()
)
_AUTOMATIC = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


def request_headers(headers: Iterable[tuple[bytes, bytes]], key: str | None) -> CIMultiDict[str]:
    """What goes upstream: the caller's headers less `_NOT_SENT` and what his `connection` header names."""
    sent: CIMultiDict[str] = CIMultiDict()
    named: list[bytes] = []
    for name, value in headers:
        low = name.lower()
        if low == b"connection":
            named += [token.strip().lower() for token in value.split(b",")]
        if low not in _NOT_SENT and not low.startswith(b"x-expunge-"):
            sent.add(low.decode("latin-1"), value.decode("latin-1"))
    for token in named:
        sent.popall(token.decode("latin-1"), None)
    # Bodies must be readable by whoever inspects them on the way back.
    sent["accept-encoding"] = "identity"
    if key is not None:
        sent["authorization"] = f"Bearer {key}"
    if "content-type" not in sent:
        sent["content-type"] = "application/json"
    return sent


def answer_headers(raw: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """What comes back: lower-case names, without hop-by-hop headers."""
    lowered = [(name.lower(), value) for name, value in raw]
    return [pair for pair in lowered if pair[0] not in _HOP_BY_HOP]


def broke_off(name: str) -> BackendError:
    """502: the connection broke in the middle of an answer."""
    return BackendError(
        f"The backend '{name}' broke off its answer.", status=502, type="server_error", code="backend_broke_off"
    )


class _Answer:
    """An answer whose body is still on the wire."""

    __slots__ = ("_closed", "_flight", "_name", "_response", "headers", "status")

    def __init__(self, name: str, response: aiohttp.ClientResponse, flight: InFlight) -> None:
        self.status = response.status
        self.headers: Sequence[tuple[bytes, bytes]] = answer_headers(response.raw_headers)
        self._name = name
        self._response = response
        self._flight = flight
        self._closed = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes; raises `BackendError` on a break-off or when the total timeout passes."""
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except TimeoutError:
            raise backend_slow(self._name) from None
        except (aiohttp.ClientError, OSError):
            # Closing the answer ourselves looks like a break-off to the reader; that is an end, not an error.
            if not self._closed:
                raise broke_off(self._name) from None
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close the connection unless the body was read to its end (then it goes back to the pool)."""
        if not self._closed:
            self._closed = True
            self._flight.leave()
            self._response.close()


async def _readable_error(answer: _Answer) -> WholeAnswer:
    """The error answer in OpenAI shape; what is not part of its body (`retry-after`, request ids) is kept."""
    body = bytearray()
    async for chunk in answer.chunks():
        body += chunk
        if len(body) > ERROR_LIMIT_BYTES:
            await answer.aclose()
            body.clear()
            break
    shaped = normalise(answer.status, bytes(body))
    replaced = (b"content-length", b"content-type", b"content-encoding")
    headers = [pair for pair in answer.headers if pair[0] not in replaced]
    return WholeAnswer(shaped, status=answer.status, headers=[*JSON_HEADERS, *headers])


async def _note_reuse(
    session: aiohttp.ClientSession, context: Any, params: aiohttp.TraceConnectionReuseconnParams
) -> None:
    context.trace_request_ctx.append(True)


def _reuse_trace() -> aiohttp.TraceConfig:
    """Tells a request whether its connection came from the pool."""
    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(_note_reuse)
    return trace


def _first_line(said: bytes) -> str:
    """Of an error body, what it says."""
    try:
        found = orjson.loads(said)["error"]["message"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        found = said.decode(errors="replace")
    return (str(found).strip().splitlines() or ["nothing"])[0][:200].rstrip(".")


def _to_tokenize(call: BackendCall) -> bytes | None:
    """The body for `/tokenize`; None for what it cannot count."""
    body = orjson.loads(call.body)
    if call.path == "/v1/chat/completions":
        kept: tuple[str, ...] = _COUNTED_OF_CHATS
    elif call.path == "/v1/completions" and isinstance(body.get("prompt"), str):
        kept = ("model", "prompt", "add_special_tokens")
    else:
        return None
    return orjson.dumps({key: body[key] for key in kept if key in body})


class VllmServer:
    """The backend: one aiohttp session per process, opened in `start`."""

    capabilities = frozenset(Capability) - {
        Capability.RESTRICT,
        Capability.OFFSET,
        Capability.PROMPT_EMBEDS,
        Capability.NEGATIVE_PROMPT,
        Capability.STEERING,
        Capability.PROCESSED_LOGPROBS,
    }
    """And what the settings tell of it: whether a server has the plug-in, an assistant, processed log-probabilities or
    follows negative prompts is not to be asked."""

    def __init__(self, settings: BackendSettings, *, cache_dir: Path | None = None) -> None:
        if not settings.base_url:
            raise ConfigError(f"backends: '{settings.name}' needs base_url, such as http://127.0.0.1:8100")
        self.name = settings.name
        told = {
            Capability.RESTRICT: settings.restricts,
            Capability.OFFSET: settings.offsets,
            Capability.NEGATIVE_PROMPT: settings.negative_prompts,
            Capability.PROCESSED_LOGPROBS: settings.processed_logprobs,
        }
        self.capabilities = self.capabilities | {one for one, is_there in told.items() if is_there}
        self._base = settings.base_url.rstrip("/").removesuffix("/v1")
        self._settings = settings
        self._flight = InFlight(settings.name, settings.max_in_flight)
        self._session: aiohttp.ClientSession | None = None
        self._key: str | None = None

    async def start(self) -> None:
        """Open the session; raises `ConfigError` if the upstream key's variable is named but not set."""
        settings = self._settings
        self._key = settings.api_key()
        if settings.api_key_env and not self._key:
            raise ConfigError(f"backends: '{self.name}' needs the environment variable {settings.api_key_env}")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S),
            timeout=aiohttp.ClientTimeout(total=settings.total_timeout_s, sock_connect=settings.connect_timeout_s),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_AUTOMATIC,
            trace_configs=[_reuse_trace()],
        )

    async def send(self, call: BackendCall) -> BackendAnswer:
        """Forward one call. Raises 502 or 504 as `BackendError`, 503 when `max_in_flight` calls are under way."""
        self._flight.enter()
        answer: _Answer | None = None
        try:
            response = await self._request(call)
            answer = _Answer(self.name, response, self._flight)
        except aiohttp.ConnectionTimeoutError:
            raise backend_down(self.name) from None
        except TimeoutError:
            raise backend_slow(self.name) from None
        except (aiohttp.ClientError, OSError):
            raise backend_down(self.name) from None
        finally:
            if answer is None:
                self._flight.leave()
        return answer if answer.status < 400 else await _readable_error(answer)

    async def _request(self, call: BackendCall) -> aiohttp.ClientResponse:
        url = URL(f"{self._base}{call.path}?{call.query}" if call.query else self._base + call.path, encoded=True)
        headers = request_headers(call.headers, self._key)
        reused: list[bool] = []
        try:
            return await self._open(call, url, headers, reused)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            # A server may close an idle connection just as we use it again. Nothing of an answer came, so the call is
            # sent once more, over a connection of its own; a fresh connection that breaks is a real failure.
            if not reused:
                raise
            return await self._open(call, url, headers, [])

    async def _open(
        self, call: BackendCall, url: URL, headers: CIMultiDict[str], reused: list[bool]
    ) -> aiohttp.ClientResponse:
        if self._session is None or self._session.closed:
            raise backend_down(self.name)
        return await self._session.request(
            call.method, url, data=call.body or None, headers=headers, allow_redirects=False, trace_request_ctx=reused
        )

    async def models(self) -> list[dict[str, Any]]:
        """The server's own list; raises `BackendError` if it cannot be had."""
        answer = await self.send(BackendCall(path="/v1/models", body=b"", method="GET"))
        try:
            body = b"".join([chunk async for chunk in answer.chunks()])
        finally:
            await answer.aclose()
        try:
            cards = orjson.loads(body)["data"] if answer.status == 200 else None
        except (orjson.JSONDecodeError, KeyError, TypeError):
            cards = None
        if not isinstance(cards, list):
            raise BackendError(
                f"The backend '{self.name}' answered /v1/models with status {answer.status} and no list of models.",
                status=502,
                type="server_error",
                code="backend_bad_answer",
            )
        return [card for card in cards if isinstance(card, dict)]

    async def load_weights(self, name: str, folder: Path) -> None:
        """By `/v1/load_lora_adapter`; the server reads the folder, and must have been started so that it may."""
        await self._ask_for_adapter("load", {"lora_name": name, "lora_path": str(folder)})

    async def unload_weights(self, name: str) -> None:
        """By `/v1/unload_lora_adapter`."""
        if await self.has_weights(name):
            await self._ask_for_adapter("unload", {"lora_name": name})

    async def has_weights(self, name: str) -> bool:
        """By the server's list of models."""
        return any(card.get("id") == name for card in await self.models())

    async def _ask_for_adapter(self, what: str, body: dict[str, str]) -> None:
        call = BackendCall(path=f"/v1/{what}_lora_adapter", body=orjson.dumps(body))
        answer = await self.send(call)
        try:
            said = b"".join([chunk async for chunk in answer.chunks()])
        finally:
            await answer.aclose()
        if answer.status == 200:
            return
        why = "start it with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=true" if answer.status == 404 else ""
        raise BackendError(
            f"The backend '{self.name}' does not {what} an adapter (status {answer.status}): {why or _first_line(said)}.",
            status=502,
            type="server_error",
            code="backend_bad_answer",
        )

    async def count_prompt(self, call: BackendCall) -> int | None:
        """By the server's own `/tokenize`, for chats and single prompts."""
        asked = _to_tokenize(call)
        if asked is None:
            return None
        try:
            answer = await self.send(BackendCall(path="/tokenize", body=asked, headers=call.headers, model=call.model))
            try:
                raw = b"".join([chunk async for chunk in answer.chunks()])
            finally:
                await answer.aclose()
            count = orjson.loads(raw)["count"] if answer.status == 200 else None
        except (GuardrailError, orjson.JSONDecodeError, KeyError, TypeError):
            return None
        return count if isinstance(count, int) else None

    async def health(self) -> Health:
        """Well if the server lists its models within 5 seconds."""
        facts: dict[str, Any] = {"in_flight": self._flight.count, "base_url": self._base}
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT_S):
                cards = await self.models()
        except TimeoutError:
            return Health(ok=False, detail=f"no list of models within {HEALTH_TIMEOUT_S:g} s", facts=facts)
        except GuardrailError as error:
            return Health(ok=False, detail=str(error), facts=facts)
        return Health(ok=True, facts={**facts, "models": [card.get("id") for card in cards]})

    async def aclose(self) -> None:
        """Close every connection; calls under way break off."""
        if self._session is not None:
            await self._session.close()
