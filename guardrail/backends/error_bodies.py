"""Foreign error bodies -> the four-key OpenAI error body, bytes in, bytes out.

It knows the shapes that vLLM, FastAPI and other servers send (`{"error": "Unauthorized"}`, integer codes,
`{"detail": ...}`, plain text); it knows nothing of HTTP beyond the status. A body already in shape keeps its bytes.
"""

from __future__ import annotations

from typing import Any

import orjson

MESSAGE_LIMIT_CHARS = 2_000
_KEYS = ("message", "type", "param", "code")
_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}


def normalise(status: int, body: bytes) -> bytes:
    """The error body that a client of the OpenAI API can read; `body` itself when it already is one."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        data = _plain(body)
    found = data.get("error") if isinstance(data, dict) else None
    if isinstance(found, dict) and _in_shape(found):
        return body
    source = found if isinstance(found, dict) else data if isinstance(data, dict) else {}
    fields = {
        "message": _message(status, source, found, data),
        "type": _text(source.get("type")) or _TYPES.get(status) or _type_by_class(status),
        "param": _text(source.get("param")),
        "code": _text(source.get("code")) or _CODES.get(status),
    }
    extra = {key: value for key, value in source.items() if key not in _KEYS} if isinstance(found, dict) else {}
    return orjson.dumps({"error": fields | extra})


def _in_shape(error: dict[str, Any]) -> bool:
    return (
        all(key in error for key in _KEYS)
        and isinstance(error["message"], str)
        and isinstance(error["type"], str)
        and all(error[key] is None or isinstance(error[key], str) for key in ("param", "code"))
    )


def _plain(body: bytes) -> str | None:
    text = body.decode("utf-8", "replace").strip()
    # A page made for a browser says nothing that a client could use.
    return None if not text or text.startswith("<") else text


def _message(status: int, source: dict[str, Any], found: Any, data: Any) -> str:
    for value in (source.get("message"), source.get("detail"), found, data):
        if isinstance(value, str) and value:
            return value[:MESSAGE_LIMIT_CHARS]
    if isinstance(source.get("detail"), list):
        return _validation(source["detail"])
    return f"The backend answered with status {status}."


def _validation(findings: list[Any]) -> str:
    """FastAPI's list of findings, without the offending input (it repeats the request)."""
    parts = []
    for finding in findings:
        if isinstance(finding, dict):
            place = ".".join(str(step) for step in finding.get("loc") or ())
            parts.append(f"{place}: {finding.get('msg')}")
    return "; ".join(parts)[:MESSAGE_LIMIT_CHARS] or "The backend rejected the request."


def _text(value: Any) -> str | None:
    return None if value is None or isinstance(value, (dict, list)) else str(value)


def _type_by_class(status: int) -> str:
    return "server_error" if status >= 500 else "invalid_request_error"
