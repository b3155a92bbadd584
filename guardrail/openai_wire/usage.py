"""Usage fields after a treatment: the caller sees the tokens of what he sent, not of what was added to it.

Without the backend's tokenizer the added share is taken from character counts, so a treated request's prompt tokens are
an estimate (within a few per cent), where an untouched request's are the backend's own.
"""

from __future__ import annotations

from typing import Any

_PROMPT = ("prompt_tokens", "input_tokens")
_ANSWER = ("completion_tokens", "output_tokens")


def hide_added(value: dict[str, Any], share: float) -> bool:
    """Scale the prompt tokens of an answer or event by `1 - share`, in place. True if there were any."""
    usage = _usage(value)
    if usage is None or share == 0:
        return False
    for key in _PROMPT:
        if isinstance(usage.get(key), int):
            usage[key] = max(1, round(usage[key] * (1 - share)))
    _total(usage)
    _hide_cache(usage)
    return True


def _hide_cache(usage: dict[str, Any]) -> None:
    for details in ("prompt_tokens_details", "input_tokens_details"):
        if isinstance(usage.get(details), dict) and usage[details].get("cached_tokens"):
            usage[details] = {**usage[details], "cached_tokens": 0}


def set_prompt(value: dict[str, Any], tokens: int) -> bool:
    """Set the prompt's token count of an answer or event, in place. True if there was any."""
    usage = _usage(value)
    if usage is None:
        return False
    for key in _PROMPT:
        if isinstance(usage.get(key), int):
            usage[key] = tokens
    _total(usage)
    _hide_cache(usage)
    return True


def set_answer(value: dict[str, Any], tokens: int) -> None:
    """Set the answer's token count, in place, where the answer was replaced."""
    usage = _usage(value)
    if usage is None:
        return
    for key in _ANSWER:
        if isinstance(usage.get(key), int):
            usage[key] = tokens
    _total(usage)


def _usage(value: dict[str, Any]) -> dict[str, Any] | None:
    holder = value.get("response") if isinstance(value.get("response"), dict) else value
    usage = holder.get("usage") if isinstance(holder, dict) else None
    return usage if isinstance(usage, dict) else None


def _total(usage: dict[str, Any]) -> None:
    if isinstance(usage.get("total_tokens"), int):
        usage["total_tokens"] = sum(usage[key] for key in (*_PROMPT, *_ANSWER) if isinstance(usage.get(key), int))
