"""The error tree of `guardrail`, and what each error looks like on the wire.

Every error that may reach a client is an `ApiError`: an HTTP status and the four keys of the OpenAI error body.
Messages never carry entry text or upstream keys.
"""

from __future__ import annotations

from dataclasses import dataclass


class GuardrailError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigError(GuardrailError):
    """The configuration is wrong; the message names the key, the value and the mend. Exit code 2."""


class InvalidInput(GuardrailError):
    """A file that a command was given is wrong; the message names the line and the mend. Exit code 2."""


class EvaluationFailed(GuardrailError):
    """An evaluation could not be carried to its end; the message says where it broke off. Exit code 1."""


@dataclass(eq=False)
class ApiError(GuardrailError):
    """An error with an OpenAI error body: `{"error": {"message", "type", "param", "code"}}`.

    `retry_after_s` becomes `retry-after`; `should_retry` becomes `x-should-retry`.
    """

    message: str
    status: int = 400
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    retry_after_s: float | None = None
    should_retry: bool | None = None

    def __str__(self) -> str:
        return self.message


def not_found(what: str) -> ApiError:
    """404 in OpenAI shape."""
    return ApiError(f"{what} does not exist.", status=404, code="not_found")


def unknown_model(model: str, known: list[str]) -> ApiError:
    """404 `model_not_found` that lists what is served."""
    listed = ", ".join(sorted(known)) or "none"
    return ApiError(
        f"The model '{model}' does not exist. Served models: {listed}.",
        status=404,
        param="model",
        code="model_not_found",
    )


def overloaded(message: str, *, status: int = 503, retry_after_s: float = 1.0) -> ApiError:
    """429 or 503 with `retry-after`."""
    kind = "rate_limit_error" if status == 429 else "server_error"
    code = "rate_limit_exceeded" if status == 429 else "overloaded"
    return ApiError(message, status=status, type=kind, code=code, retry_after_s=retry_after_s)


class BackendError(ApiError):
    """The backend could not be reached, was too slow, or broke off: 502 or 504 in OpenAI shape."""


def backend_down(name: str) -> BackendError:
    """502: nothing listens, or the connection broke."""
    return BackendError(
        f"The backend '{name}' could not be reached.", status=502, type="server_error", code="backend_unavailable"
    )


def backend_slow(name: str) -> BackendError:
    """504: no answer within the backend's timeout."""
    return BackendError(
        f"The backend '{name}' did not answer in time.", status=504, type="server_error", code="backend_timeout"
    )
