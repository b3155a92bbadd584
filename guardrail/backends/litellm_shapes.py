"""LiteLLM's objects -> OpenAI's: what its models add is taken out, what they lose is put back.

Pure: decoded JSON in, decoded JSON out. It takes out fields that are null where OpenAI has none, and
`provider_specific_fields`; it puts back `refusal`, `logprobs` and, on streams, the usage chunk with `choices: []`.
Seen in LiteLLM 1.106.2.
"""

from __future__ import annotations

from typing import Any

_KEPT_NULLS = frozenset({"content", "finish_reason", "logprobs", "refusal", "param", "code"})


def chat(data: dict[str, Any]) -> dict[str, Any]:
    """A `chat.completion`."""
    out: dict[str, Any] = _clean(data)
    for choice in out.get("choices", ()):
        message = choice.setdefault("message", {})
        message.setdefault("content", None)
        message.setdefault("refusal", None)
        choice.setdefault("logprobs", None)
    return out


def chat_chunk(data: dict[str, Any], *, include_usage: bool) -> dict[str, Any]:
    """A `chat.completion.chunk`."""
    out: dict[str, Any] = _clean(data)
    for choice in out.get("choices", ()):
        delta = choice.setdefault("delta", {})
        # In a delta a null says the same as nothing.
        for key in [key for key, value in delta.items() if value is None]:
            del delta[key]
        choice.setdefault("logprobs", None)
        choice.setdefault("finish_reason", None)
    return _usage_chunk(out, include_usage)


def text(data: dict[str, Any]) -> dict[str, Any]:
    """A `text_completion`."""
    out: dict[str, Any] = _clean(data)
    for choice in out.get("choices", ()):
        choice.setdefault("logprobs", None)
    return out


def text_chunk(data: dict[str, Any], *, include_usage: bool) -> dict[str, Any]:
    """A chunk of a text completion."""
    out = text(data)
    for choice in out["choices"]:
        choice["text"] = choice.get("text") or ""
        choice.setdefault("finish_reason", None)
    return _usage_chunk(out, include_usage)


def _usage_chunk(out: dict[str, Any], include_usage: bool) -> dict[str, Any]:
    usage = out.pop("usage", None)
    if not include_usage:
        return out
    # LiteLLM puts zeros on every text chunk, and an empty choice on the usage chunk.
    out["usage"] = usage if usage and usage.get("total_tokens") else None
    if out["usage"] is not None and all(_is_empty(choice) for choice in out["choices"]):
        out["choices"] = []
    return out


def _is_empty(choice: dict[str, Any]) -> bool:
    return not choice.get("delta") and not choice.get("text") and choice.get("finish_reason") is None


def _clean(value: Any) -> Any:
    """Without LiteLLM's own fields and without nulls that OpenAI does not send."""
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if not isinstance(value, dict):
        return value
    own = value.get("provider_specific_fields")
    kept = {
        key: _clean(item)
        for key, item in value.items()
        if key != "provider_specific_fields" and (item is not None or key in _KEPT_NULLS)
    }
    if isinstance(own, dict) and own.get("refusal") is not None:
        kept["refusal"] = own["refusal"]
    return kept
