"""LiteLLM's exceptions -> our errors, with the provider's status, message, `param`, `code` and `retry-after`.

It knows the attributes that LiteLLM 1.106.2 puts on its exceptions and nothing of the call that raised them. Upstream
keys never travel: a message that holds the key is replaced.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from guardrail.backends.error_bodies import normalise
from guardrail.errors import ApiError, backend_down, backend_slow

_PREFIX = re.compile(r"^(litellm\.\w+: |\w+(Error|Exception)(: | - ))+")
_WRAPPED = re.compile(r"^Error code: \d+ - ")


def translate(error: Exception, *, name: str, secret: str) -> ApiError:
    """`BackendError` for a provider that cannot be reached, is too slow or answers nonsense; else its own error."""
    import openai

    if isinstance(error, openai.APITimeoutError):
        return backend_slow(name)
    status = getattr(error, "status_code", None)
    if not isinstance(status, int) or _never_reached(error):
        return backend_down(name)
    body = getattr(error, "body", None)
    source: dict[str, Any] = body if isinstance(body, dict) else {}
    message = str(source.get("message") or _plain(str(getattr(error, "message", error))))
    if secret and secret in message:
        message = "The provider rejected the request."
    kind = source.get("type")
    fields = orjson.loads(
        normalise(
            status,
            orjson.dumps(
                {"error": {"message": message, "type": kind, "param": source.get("param"), "code": source.get("code")}}
            ),
        )
    )["error"]
    return ApiError(
        fields["message"],
        status=status,
        type=fields["type"],
        param=fields["param"],
        code=fields["code"],
        retry_after_s=_retry_after_s(error),
    )


def _never_reached(error: Exception) -> bool:
    """True if a broken connection lies behind the error (LiteLLM calls that a 500)."""
    import httpx
    import openai

    seen: BaseException | None = error
    while seen is not None:
        broken = isinstance(seen, (openai.APIConnectionError, httpx.TransportError, ConnectionError))
        if broken or str(getattr(seen, "message", "")).endswith("Connection error."):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _plain(message: str) -> str:
    """The provider's words, without LiteLLM's class names before them."""
    plain = _WRAPPED.sub("", _PREFIX.sub("", message))
    return plain if not plain.startswith("{") else "The provider rejected the request."


def _retry_after_s(error: Exception) -> float | None:
    response = getattr(error, "response", None)
    for headers in (getattr(error, "litellm_response_headers", None), getattr(response, "headers", None)):
        value = headers.get("retry-after") if headers is not None else None
        if value is not None:
            try:
                return float(value)
            except ValueError:
                return None
    return None
