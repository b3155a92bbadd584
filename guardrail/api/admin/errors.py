"""What an error of the admin API looks like: always the OpenAI error body, whoever raised it.

Knows the error trees of both packages and the framework's own errors. Messages never carry entry text; an unforeseen
exception is answered 500 and logged by type and place only, as its message may quote what it choked on.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from guardrail.errors import ApiError
from guardrail.openai_wire.errors import error_body, error_headers
from retrieval.errors import (
    ArtifactNotFound,
    EmbedderUnavailable,
    EntryConflict,
    EntryNotFound,
    EntryRevoked,
    InvalidEntry,
    JobConflict,
    JobNotFound,
    RetrievalError,
    StoreUnavailable,
)

log = logging.getLogger(__name__)

_RETRY_AFTER_S: Final = 1.0


def json_response(payload: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(
        orjson.dumps(payload), status_code=status, headers=dict(headers or {}), media_type="application/json"
    )


def error_response(error: ApiError) -> Response:
    """An error's answer, as on the other listener."""
    answer = Response(error_body(error), status_code=error.status)
    for name, value in error_headers(error):
        answer.headers[name.decode()] = value.decode()
    if error.status == 401:
        answer.headers["www-authenticate"] = "Bearer"
    return answer


def as_api_error(error: RetrievalError) -> ApiError:
    """The status and code of an error of `retrieval`."""
    message = str(error)
    match error:
        case InvalidEntry():
            return ApiError(message, status=400, param=error.param, code="invalid_entry")
        case EntryNotFound() | JobNotFound() | ArtifactNotFound():
            return ApiError(message, status=404, param="id", code="not_found")
        case EntryRevoked():
            return ApiError(message, status=409, param="id", code="entry_revoked")
        case EntryConflict() | JobConflict():
            return ApiError(message, status=409, param="id", code="conflict")
        case StoreUnavailable() | EmbedderUnavailable():
            return ApiError(message, status=503, type="server_error", code="unavailable", retry_after_s=_RETRY_AFTER_S)
        case _:
            return ApiError(message, status=500, type="server_error", code="registry_error")


def unforeseen(error: Exception) -> ApiError:
    """500 without a word of the exception's message; logs where it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown place"
    log.error("admin request failed: %s at %s", type(error).__name__, place)
    return ApiError("The server failed on this request; its log says where.", status=500, type="server_error")


async def _api_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 - the handler is registered for this class
    return error_response(error)


async def _retrieval_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RetrievalError)  # noqa: S101 - the handler is registered for this class
    return error_response(as_api_error(error))


async def _query_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - the handler is registered for this class
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    param = place[-1] if place else None
    message = f"{' parameter '.join(place[:1] + place[1:])}: {first['msg']}."
    return error_response(ApiError(message, status=400, param=param, code="invalid_parameter"))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler is registered for this class
    if error.status_code == 404:
        return error_response(ApiError("Unknown admin URL; /openapi.json lists them.", status=404, code="not_found"))
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        answer = error_response(
            ApiError(f"{request.method} is not allowed here; use {allowed or 'another method'}.", status=405)
        )
        answer.headers["allow"] = allowed
        return answer
    return error_response(ApiError(str(error.detail), status=error.status_code))


def install(app: FastAPI) -> None:
    """Give the app the OpenAI error body for every error that its routes can raise."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(RetrievalError, _retrieval_error)
    app.add_exception_handler(RequestValidationError, _query_error)
    app.add_exception_handler(HTTPException, _http_error)
