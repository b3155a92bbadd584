"""An image server's answer as it may be told where something else was drawn than the caller asked for.

Fields that say what was drawn are told about the caller's own prompt, or not at all; all others stay, so that a treated
answer has the fields that any answer of this server has. Pure, decoded JSON in and out. It does not know what was treated.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final

from guardrail.openai_wire.picture_bytes import without_words
from guardrail.openai_wire.protocol import count_tokens

_OF_ITEMS: Final = frozenset({"b64_json", "url", "content_type", "mime_type", "media_type", "object", "type", "format"})
_OF_ANSWERS: Final = frozenset(
    ["data", "usage", "id", "object", "model", "background", "output_format", "quality", "size"]
)
_DATA_URL: Final = re.compile(r"data:image/[a-z0-9.+-]{1,40};base64,", re.ASCII)


def holds_no_text(value: Any) -> bool:
    """True for numbers, truth values and nothing, and for lists and objects of such."""
    if isinstance(value, Mapping):
        return all(map(holds_no_text, value.values()))
    return all(map(holds_no_text, value)) if isinstance(value, list) else not isinstance(value, str) or not value


def told_answer(envelope: Mapping[str, Any]) -> dict[str, Any]:
    """What stands around the pictures, without texts that are not known to say nothing of the prompt."""
    return {key: value for key, value in envelope.items() if key in _OF_ANSWERS or holds_no_text(value)}


def told_item(item: Mapping[str, Any], *, prompt: str) -> dict[str, Any]:
    """A picture as the server gave it, told of the caller's own prompt where it was told of one at all."""
    told: dict[str, Any] = {}
    for key, value in item.items():
        if key == "revised_prompt" and not holds_no_text(value):
            told[key] = prompt
        elif key in _OF_ITEMS or holds_no_text(value):
            told[key] = value
    return told


def wordless_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """A picture without the words in its file; one that is given by address stays as it is."""
    return {key: _wordless(key, value) if key in ("b64_json", "url") else value for key, value in item.items()}


def _wordless(key: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    head = _DATA_URL.match(value)
    if key == "url" and head is None:
        return value
    start = head.end() if head is not None else 0
    try:
        content = base64.b64decode(value[start:], validate=True)
    except (binascii.Error, ValueError):
        return value  # whoever reads the picture says that it is none
    clean = without_words(content)
    return value if clean is content else value[:start] + base64.b64encode(clean).decode()


def told_usage(usage: Mapping[str, Any], *, sent: str, own: str) -> dict[str, Any]:
    """Usage as the caller's own prompt counts. A server that counts nothing goes on counting nothing."""
    whole = usage.get("input_tokens")
    if type(whole) is not int or whole <= 0:
        return dict(usage)
    details = usage.get("input_tokens_details")
    text = details.get("text_tokens") if isinstance(details, Mapping) else None
    before = text if type(text) is int and 0 < text <= whole else whole  # the rest are pictures, which stay as many
    is_by_length = before == count_tokens(sent)
    read = count_tokens(own) if is_by_length else max(1, round(before * len(own) / max(1, len(sent))))
    told = {**usage, "input_tokens": whole - before + read}
    if type(usage.get("total_tokens")) is int and usage["total_tokens"] >= whole:
        told["total_tokens"] = usage["total_tokens"] - before + read
    if isinstance(details, Mapping) and text == before:
        told["input_tokens_details"] = {**details, "text_tokens": read}
    return told
