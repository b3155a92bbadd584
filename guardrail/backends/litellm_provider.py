"""Every provider that LiteLLM knows, spoken to through its library; slower than `vllm_server` and kept apart from it.

A backend's own model names are LiteLLM's ("anthropic/claude-...", "openai/..."). Bodies are decoded and handed over as
arguments, so only OpenAI's own fields and a few known ones of providers are accepted: LiteLLM also takes addresses,
keys and callbacks as arguments, which no caller may set. Answers come back in OpenAI shape. LiteLLM is imported in
`start`; its price list is the packaged one, its telemetry, retries and dropping of parameters are off.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from guardrail.backends.answers import InFlight, StreamAnswer, WholeAnswer, error_answer
from guardrail.backends.litellm_errors import translate
from guardrail.backends.litellm_shapes import chat, chat_chunk, text, text_chunk
from guardrail.backends.protocol import BackendAnswer, BackendCall, Capability, Health
from guardrail.backends.shapes import DONE, sse
from guardrail.errors import ApiError, BackendError, ConfigError, backend_down, backend_slow, not_found, unknown_model
from guardrail.settings import BackendSettings

if TYPE_CHECKING:
    import httpx

_SAMPLING = frozenset({"temperature", "top_p", "user", "metadata", "service_tier", "safety_identifier", "stream"})
_GENERATING = _SAMPLING | {
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_tokens",
    "n",
    "presence_penalty",
    "seed",
    "stop",
    "stream_options",
    "top_k",
}
_TOOLS = frozenset({"tools", "tool_choice", "parallel_tool_calls", "top_logprobs", "store", "prompt_cache_key"})
_FIELDS: dict[str, frozenset[str]] = {
    "/v1/chat/completions": _GENERATING
    | _TOOLS
    | {
        "messages",
        "max_completion_tokens",
        "modalities",
        "audio",
        "prediction",
        "response_format",
        "functions",
        "function_call",
        "reasoning_effort",
        "thinking",
        "verbosity",
        "web_search_options",
        "prompt_cache_retention",
    },
    "/v1/completions": _GENERATING | {"prompt", "suffix", "best_of", "echo"},
    "/v1/responses": _SAMPLING
    | _TOOLS
    | {"input", "instructions", "max_output_tokens", "reasoning", "text", "truncation", "include"},
    "/v1/embeddings": frozenset({"input", "dimensions", "encoding_format", "user"}),
    "/v1/images/generations": frozenset(
        {
            "prompt",
            "n",
            "size",
            "quality",
            "style",
            "background",
            "moderation",
            "output_format",
            "output_compression",
            "response_format",
            "user",
        }
    ),
}
_FUNCTIONS = {
    "/v1/chat/completions": "acompletion",
    "/v1/completions": "atext_completion",
    "/v1/responses": "aresponses",
    "/v1/embeddings": "aembedding",
    "/v1/images/generations": "aimage_generation",
}


class LitellmProvider:
    """The backend. Served models: the values of `settings.models`; `base_url` is handed on as `api_base`."""

    capabilities = frozenset(
        {
            Capability.CHAT,
            Capability.COMPLETIONS,
            Capability.RESPONSES,
            Capability.EMBEDDINGS,
            Capability.IMAGES,
        }
    )
    """Providers differ in what they call a negative prompt, and most know none."""

    def __init__(self, settings: BackendSettings, *, cache_dir: Path | None = None) -> None:
        self.name = settings.name
        self._settings = settings
        self._models = sorted(set(settings.models.values()))
        self._flight = InFlight(settings.name, settings.max_in_flight)
        self._litellm: Any = None
        self._session: httpx.AsyncClient | None = None
        self._secret = ""

    async def start(self) -> None:
        """Import LiteLLM (seconds) and quieten it; raises `ConfigError` if it or the key's variable is missing."""
        settings = self._settings
        self._secret = settings.api_key() or ""
        if settings.api_key_env and not self._secret:
            raise ConfigError(f"backends: '{self.name}' needs the environment variable {settings.api_key_env}")
        self._litellm = await asyncio.to_thread(_import_litellm)
        if self._litellm.aclient_session is None:
            # Some of LiteLLM's calls open a client each and leave it open; with a session given, all share this one.
            self._session = self._litellm.aclient_session = _session(settings)

    async def models(self) -> list[dict[str, Any]]:
        """One card per configured model; providers are not asked."""
        return [{"id": name, "object": "model", "created": 0, "owned_by": "litellm"} for name in self._models]

    async def count_prompt(self, call: BackendCall) -> int | None:
        """Providers do not tell."""
        del call
        return None

    async def health(self) -> Health:
        """Well once LiteLLM is loaded; providers are not asked, as a question may cost money."""
        facts = {"in_flight": self._flight.count, "models": list(self._models)}
        loaded = self._litellm is not None
        return Health(ok=loaded, detail="" if loaded else "LiteLLM is not loaded", facts=facts)

    async def aclose(self) -> None:
        """Close LiteLLM's connections."""
        litellm, self._litellm = self._litellm, None
        if litellm is not None:
            await litellm.close_litellm_async_clients()
            litellm.in_memory_llm_clients_cache.flush_cache()
        if self._session is not None:
            await self._session.aclose()
            litellm.aclient_session = self._session = None

    async def send(self, call: BackendCall) -> BackendAnswer:
        """Make the call; providers' errors are answers, an unreachable or slow one raises `BackendError`."""
        if self._litellm is None:
            raise backend_down(self.name)
        self._flight.enter()
        handed_over = False
        try:
            arguments = self._arguments(call)
            result = await self._call(call.path, arguments)
            if not arguments.get("stream"):
                return WholeAnswer(orjson.dumps(_whole(call.path, result)))
            handed_over = True
            return _LitellmStream(self._events(call.path, arguments, result), result, self._flight.leave)
        except BackendError:
            raise
        except ApiError as error:
            return error_answer(error)
        finally:
            if not handed_over:
                self._flight.leave()

    def _arguments(self, call: BackendCall) -> dict[str, Any]:
        known = _FIELDS.get(call.path)
        if known is None:
            raise not_found(f"The route '{call.path}'")
        try:
            body = orjson.loads(call.body)
        except orjson.JSONDecodeError:
            raise ApiError("The body is not valid JSON.") from None
        if not isinstance(body, dict):
            raise ApiError("The body must be a JSON object.")
        model = body.pop("model", call.model)
        if model not in self._models:
            raise unknown_model(str(model), self._models)
        for key in body:
            if key not in known:
                raise ApiError(
                    f"The field '{key}' cannot be passed to this backend; leave it out.",
                    param=key,
                    code="unsupported_value",
                )
        settings = self._settings
        own = {"model": model, "timeout": settings.total_timeout_s, "max_retries": 0, "num_retries": 0}
        if self._secret:
            own["api_key"] = self._secret
        if settings.base_url:
            own["api_base"] = settings.base_url.rstrip("/").removesuffix("/v1") + "/v1"
        return body | own

    async def _call(self, path: str, arguments: dict[str, Any]) -> Any:
        function = getattr(self._litellm, _FUNCTIONS[path])
        try:
            async with asyncio.timeout(self._settings.total_timeout_s):
                return await function(**arguments)
        except TimeoutError:
            raise backend_slow(self.name) from None
        except _provider_errors() as error:
            raise translate(error, name=self.name, secret=self._secret) from None

    async def _events(self, path: str, arguments: dict[str, Any], result: Any) -> AsyncIterator[bytes]:
        include_usage = bool((arguments.get("stream_options") or {}).get("include_usage"))
        try:
            async for chunk in result:
                data = chunk.model_dump(mode="json", warnings=False)
                if path == "/v1/responses":
                    yield b"event: " + str(data.get("type")).encode() + b"\n" + sse(data)
                else:
                    shape = chat_chunk if path == "/v1/chat/completions" else text_chunk
                    yield sse(shape(data, include_usage=include_usage))
        except _provider_errors() as error:
            # The status is out already: whatever went wrong, the answer broke off.
            raise BackendError(
                f"The backend '{self.name}' broke off its answer.",
                status=502,
                type="server_error",
                code="backend_broke_off",
            ) from translate(error, name=self.name, secret=self._secret)
        if path != "/v1/responses":
            yield DONE


class _LitellmStream(StreamAnswer):
    """A stream whose provider connection is closed with it."""

    def __init__(self, source: AsyncIterator[bytes], result: Any, on_close: Callable[[], None]) -> None:
        super().__init__(source, on_close=on_close)
        self._result = result

    async def aclose(self) -> None:
        """End the stream and its connection."""
        result, self._result = self._result, None
        await super().aclose()
        if result is not None:
            await _close(result)


async def _close(result: Any) -> None:
    """Close the connection of a LiteLLM stream; its wrappers differ in what they offer."""
    for holder in (result, getattr(result, "completion_stream", None), getattr(result, "response", None)):
        close = getattr(holder, "aclose", None)
        if close is not None:
            await close()
            return


def _session(settings: BackendSettings) -> httpx.AsyncClient:
    import httpx

    timeout = httpx.Timeout(settings.total_timeout_s, connect=settings.connect_timeout_s)
    return httpx.AsyncClient(timeout=timeout, limits=httpx.Limits(max_connections=None, keepalive_expiry=60.0))


def _whole(path: str, result: Any) -> dict[str, Any]:
    data: dict[str, Any] = result.model_dump(mode="json", warnings=False)
    if path in ("/v1/responses", "/v1/images/generations"):
        return {key: value for key, value in data.items() if not key.startswith("_")}
    return chat(data) if path == "/v1/chat/completions" else text(data)


def _provider_errors() -> tuple[type[Exception], ...]:
    """What a LiteLLM call raises: its errors are OpenAI's; broken provider answers surface as plain ones."""
    import httpx
    import openai

    return (openai.OpenAIError, httpx.HTTPError, ValueError, TypeError, KeyError, AttributeError, ImportError, OSError)


def _import_litellm() -> Any:
    # Read by LiteLLM while it is imported: without it a price list is fetched from the network.
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    try:
        litellm: Any = importlib.import_module("litellm")
    except ImportError:
        raise ConfigError("litellm_provider needs LiteLLM; install it with: pip install 'expunge[litellm]'") from None
    litellm.telemetry = False
    litellm.drop_params = False
    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    litellm.callbacks = []
    return litellm
