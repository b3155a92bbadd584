"""What chat completions and completions have in common: an envelope, numbered choices, usage, token details.

Pure functions on decoded JSON. Those that say "in place" change their argument; all others copy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from guardrail.decision import JsonPath
from guardrail.errors import ApiError
from guardrail.openai_wire.json_path import replace_at, texts_in
from guardrail.openai_wire.protocol import Body, TextSlot, channel_key
from guardrail.openai_wire.token_rows import ROWS, Said, retell_rows, rows_tell

REVEALING = ("return_prompt_text", "return_token_ids", "return_prompt_token_ids", "return_token_offsets")
OWN_ARGUMENTS = "expunge_"
"""How keys of `vllm_xargs` begin that only Expunge itself may send; a caller's would ask for what it does to answers."""

_PROMPT_FIELDS = frozenset({"prompt_text", "prompt_token_ids", "prompt_logprobs", "kv_transfer_params"})
_NOT_SPELT = frozenset({"role", "type", "id"})
_TOKEN_FIELDS = frozenset({"token_ids", "stop_reason", "routed_experts"})
_MAX_CHOICES = 128


def not_available(param: str, what: str) -> ApiError:
    """400 for a field that this deployment does not serve."""
    return ApiError(f"This deployment does not accept {what}.", param=param, code="unsupported_parameter")


def refuse_fields(body: Body, fields: Sequence[str]) -> None:
    """Raise `ApiError` (400) for the first of `fields` that is set."""
    for field in (*fields, "prompt_embeds"):
        value = body.get(field)
        if value is not None and value is not False and value not in ("", []):
            raise not_available(field, f"'{field}'")


def without(body: Body, fields: Sequence[str]) -> Body:
    """The body without `fields`; the same object where none is there."""
    if not any(field in body for field in fields):
        return body
    return {key: value for key, value in body.items() if key not in fields}


def without_own_arguments(body: Body) -> Body:
    """The body without keys of `vllm_xargs` that only Expunge may send, in `extra_body` too; what is emptied by that goes.
    The same object where there is none."""
    given, more = body.get("vllm_xargs"), body.get("extra_body")
    changed: dict[str, Body] = {}
    if isinstance(given, Mapping) and any(key.startswith(OWN_ARGUMENTS) for key in given):
        changed["vllm_xargs"] = {key: value for key, value in given.items() if not key.startswith(OWN_ARGUMENTS)}
    if isinstance(more, Mapping) and (left := without_own_arguments(more)) is not more:
        changed["extra_body"] = left
    if not changed:
        return body
    return {key: value for key, value in {**body, **changed}.items() if value or key not in changed}


def wanted(body: Body) -> int:
    """How many choices the request asks for."""
    n = body.get("n")
    return min(n, _MAX_CHOICES) if isinstance(n, int) and n > 0 else 1


def wants_usage(body: Body) -> bool:
    """True if a usage chunk was asked for."""
    options = body.get("stream_options")
    return isinstance(options, Mapping) and bool(options.get("include_usage"))


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """A usage object."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def event_like(
    template: Body, kind: str, found: Sequence[Mapping[str, Any]], usage: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """An event of a stream, shaped as one of its events is: the same fields in the same order, with these choices and this
    usage."""
    own: dict[str, Any] = {"choices": list(found), "usage": usage, "object": template.get("object", kind)}
    head = {key: template.get(key) for key in ("id", "object", "created", "model")}
    fields = {**template, **head} if "choices" in template else {**head, **template}
    event = {key: own.get(key, value if _is_plain(value) else None) for key, value in fields.items()}
    event.setdefault("choices", own["choices"])
    if usage is not None:
        event["usage"] = usage
    return event


def choice_like(template: Body, field: str, number: int, said: Any, finish: str | None) -> dict[str, Any]:
    """A choice of such an event that says `said` in `field`."""
    own = {"index": number, field: said, "logprobs": None, "finish_reason": finish}
    first = next(iter(template.get("choices") or ()), own)
    return {key: own.get(key) for key in (*first, *(key for key in own if key not in first))}


def _is_plain(value: Any) -> bool:
    """True for what is said of a whole stream, as against what an event holds."""
    return isinstance(value, (str, int, float)) or value is None


def in_pieces(text: str) -> list[str]:
    """A text word by word, as a model streams it."""
    return re.findall(r"\s*\S+\s*\Z|\s*\S+", text) or [text]


def of_number(value: Mapping[str, Any], number: int) -> Iterator[dict[str, Any]]:
    """The choice objects with this index."""
    for position, choice in enumerate(value.get("choices") or ()):
        if choice.get("index", position) == number:
            yield choice


def ended(event: Body) -> Sequence[int] | None:
    """Choices that carry a finish_reason; all (None) where the usage chunk comes, which closes a stream."""
    found = event.get("choices")
    if not found:
        return None if event.get("usage") else ()
    return [
        choice.get("index", position)
        for position, choice in enumerate(found)
        if choice.get("finish_reason") is not None
    ]


def says_more(event: Body) -> bool:
    """True if an event ends a choice, opens a message, or carries usage."""
    return bool(event.get("usage")) or any(
        choice.get("finish_reason") is not None or (choice.get("delta") or {}).get("role")
        for choice in event.get("choices") or ()
    )


def clear_token_details(value: dict[str, Any], number: int) -> None:
    """Drop logprobs, token ids and the stop text of one choice, in place."""
    for choice in of_number(value, number):
        if choice.get("logprobs") is not None:
            choice["logprobs"] = None
        choice.update(dict.fromkeys(_TOKEN_FIELDS & choice.keys()))


def retell_tokens(value: dict[str, Any], number: int, said: Sequence[Said]) -> None:
    """Put other words into the token rows of one choice, in place; ids of tokens cannot be told otherwise and go, and so do
    rows that would still spell another text."""
    retell_rows(value, said)
    for choice in of_number(value, number):
        said_beside = texts_in(choice.get("message") or choice.get("delta") or (), (), skip=_NOT_SPELT)
        if not rows_tell(choice.get("logprobs"), [text for _, text in said_beside]):
            choice["logprobs"] = None
        choice.update(dict.fromkeys(_TOKEN_FIELDS & choice.keys()))


def hide_prompt(value: dict[str, Any]) -> bool:
    """Drop fields that show the prompt as the model saw it, in place. True if there were any."""
    found = False
    for holder in (value, *(value.get("choices") or ())):
        if _PROMPT_FIELDS.isdisjoint(holder):
            continue
        for field in _PROMPT_FIELDS & holder.keys():
            if holder[field] is not None:
                holder[field] = None
                found = True
    return found


def split(event: Body, slot: TextSlot, said: str, rest: str) -> tuple[Body, Body]:
    """Two events: the text `said` alone, and `rest` with finish, usage and token details."""
    first = replace_at(event, slot.path, said)
    choice = {**first["choices"][slot.path[1]], "finish_reason": None, "logprobs": None}
    first = {**first, "choices": [choice | dict.fromkeys(_TOKEN_FIELDS & choice.keys())]}
    if first.get("usage") is not None:
        first["usage"] = None
    return first, replace_at(event, slot.path, rest)


def logprob_slots(logprobs: Any, path: JsonPath, number: int, *, whole: bool = False) -> Iterator[TextSlot]:
    """The tokens of logprobs as texts of their own, with the alternatives of each.

    The chosen tokens repeat the content, but may run ahead of it. Alternatives of one rank form one channel, so that a
    name spelt down a column of alternatives is seen as well. `logprobs` is a list of tokens, or an object that holds
    such lists (chat) or the parallel lists of completions.
    """
    if isinstance(logprobs, Mapping):
        for field in ROWS:
            yield from _token_slots(logprobs.get(field), (*path, field), number, f"logprobs.{field}", whole)
        yield from _column_slots(logprobs, path, number)
    else:
        yield from _token_slots(logprobs, path, number, "logprobs", whole)


def error_slots(holder: Body, path: JsonPath = ()) -> Iterator[TextSlot]:
    """The words of an error that breaks an answer off."""
    for deep, text in texts_in(holder.get("error") or (), (*path, "error"), skip=frozenset({"type", "code", "param"})):
        yield TextSlot(deep, channel_key(0, "error"), text, whole=True)


def _token_slots(tokens: Any, path: JsonPath, number: int, field: str, whole: bool) -> Iterator[TextSlot]:
    for row, token in enumerate(tokens or ()):
        if token.get("token"):
            yield TextSlot((*path, row, "token"), channel_key(number, f"{field}.chosen"), token["token"], whole)
        for rank, other in enumerate(token.get("top_logprobs") or ()):
            if other.get("token"):
                place = (*path, row, "top_logprobs", rank, "token")
                yield TextSlot(place, channel_key(number, f"{field}.{rank}"), other["token"], whole)


def _column_slots(logprobs: Mapping[str, Any], path: JsonPath, number: int) -> Iterator[TextSlot]:
    """Completions: `tokens` and `top_logprobs`, the latter with the alternatives as keys."""
    for row, text in enumerate(logprobs.get("tokens") or ()):
        if text:
            yield TextSlot((*path, "tokens", row), channel_key(number, "logprobs.chosen"), text)
    for row, alternatives in enumerate(logprobs.get("top_logprobs") or ()):
        for rank, text in enumerate(alternatives or ()):
            yield TextSlot((*path, "top_logprobs", row, text), channel_key(number, f"logprobs.{rank}"), text)
