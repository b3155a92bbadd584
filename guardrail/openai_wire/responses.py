"""`/v1/responses`: input items in, output items out, typed stream events.

One "choice" of this format is one text: (output item, part). `*.delta` events carry pieces; `*.done`, `*.added` and the
closing events repeat whole texts. The sequence numbers of a stream belong to the backend, so its events are never split
and its own closing events are always awaited.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from guardrail.decision import JsonPath, Passage, Role
from guardrail.errors import ApiError
from guardrail.openai_wire import choices
from guardrail.openai_wire.json_path import texts_in
from guardrail.openai_wire.protocol import (
    ROLES,
    Body,
    ChannelKey,
    Demonstration,
    Reply,
    TextSlot,
    as_turns,
    channel_key,
    count_tokens,
    last_turn_start,
)
from guardrail.openai_wire.token_rows import Said, retell_rows, rows_tell

_NO_PROSE = frozenset(
    {
        "role",
        "type",
        "id",
        "call_id",
        "status",
        "image_url",
        "file_id",
        "file_data",
        "filename",
        "encrypted_content",
        "object",
    }
)
_STATEFUL = ("previous_response_id", "conversation", "background", "prompt")
_UNSCANNABLE = ("previous_input_messages", "include_prompt")
_REVEALING = ("enable_response_messages",)
_ECHOED = ("instructions", "input", "input_messages", "output_messages")


class ResponsesWire:
    """The Responses API."""

    name = "responses"
    path = "/v1/responses"

    def passages(self, body: Body) -> list[Passage]:
        found: list[Passage] = []
        if isinstance(body.get("instructions"), str):
            found.append(Passage(path=("instructions",), role=Role.SYSTEM, text=body["instructions"]))
        given = body.get("input")
        if isinstance(given, str):
            found.append(Passage(path=("input",), role=Role.USER, text=given))
        elif isinstance(given, list):
            for index, item in enumerate(given):
                found.extend(_item_passages(item, ("input", index)))
        elif given is not None or "prompt" not in body:
            raise ApiError("Field 'input' must be a string or a list of items.", param="input")
        for path, text in texts_in(body.get("tools") or (), ("tools",), skip=_NO_PROSE | {"name", "required"}):
            found.append(Passage(path=path, role=Role.SYSTEM, text=text))
        return found

    def refuse_unscannable(self, body: Body) -> None:
        for field in _STATEFUL:
            if body.get(field):
                raise ApiError(
                    f"Field '{field}' is not available on this deployment; send the whole conversation as 'input'.",
                    param=field,
                    code="unsupported_parameter",
                )
        choices.refuse_fields(body, _UNSCANNABLE)

    def strip_revealing(self, body: Body) -> Body:
        return choices.without(body, (*_REVEALING, *choices.REVEALING))

    def with_instruction(self, body: Body, text: str, passages: Sequence[int]) -> Body:
        del passages
        given = body.get("input")
        if not isinstance(given, list):
            return {**body, "input": f"{given or ''}\n\n{text}"}
        users = [place for place, item in enumerate(given) if item.get("role") == "user"]
        if not users:
            return {**body, "input": [*given, {"role": "user", "content": text}]}
        items = list(given)
        last = items[users[-1]]
        content = last.get("content")
        joined = (
            [*content, {"type": "input_text", "text": text}] if isinstance(content, list) else f"{content}\n\n{text}"
        )
        items[users[-1]] = {**last, "content": joined}
        return {**body, "input": items}

    def with_demonstrations(self, body: Body, pairs: Sequence[Demonstration], passages: Sequence[int]) -> Body:
        del passages
        given = body.get("input")
        items = given if isinstance(given, list) else [{"role": "user", "content": given or ""}]
        start = last_turn_start([ROLES.get(str(item.get("role"))) for item in items])
        return {**body, "input": [*items[:start], *as_turns(pairs), *items[start:]]}

    def passage_of_choice(self, body: Body, choice: int) -> int | None:
        del body, choice
        return None

    def answer_slots(self, answer: Body) -> list[TextSlot]:
        return list(_output_slots(answer, (), whole=False))

    def event_slots(self, event: Body) -> list[TextSlot]:
        return list(_event_slots(event))

    def ends(self, event: Body) -> Sequence[int] | None:
        kind = str(event.get("type", ""))
        if kind in ("response.completed", "response.incomplete", "response.failed", "error"):
            return None
        return [_number(event)] if kind.endswith(".done") else []

    def says_more(self, event: Body) -> bool:
        return not str(event.get("type", "")).endswith(".delta")

    def hide_treatment(self, value: dict[str, Any], original: Body) -> bool:
        holder = value.get("response") if "type" in value else value
        if not isinstance(holder, dict):
            return False
        changed = False
        for field in _ECHOED:
            if field in holder and holder[field] != original.get(field):
                holder[field] = original.get(field)
                changed = True
        return changed

    def split(self, event: Body, slot: TextSlot, said: str, rest: str) -> tuple[Body, Body] | None:
        del event, slot, said, rest
        return None

    def text_event(self, template: Body, choice: int, text: str) -> Body | None:
        del template, choice, text
        return None

    def finish_events(self, template: Body, choice: int) -> Sequence[Body] | None:
        del template, choice
        return None

    def with_reply(self, answer: dict[str, Any], choice: int, text: str) -> None:
        holder = answer.get("response", answer)
        output = holder.get("output") or []
        kept = [item for item in output if item.get("type") == "message"][:1]
        message = kept[0] if kept else {"id": "msg_0", "type": "message", "role": "assistant", "status": "completed"}
        message["content"] = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
        holder["output"] = [message]
        del choice

    def clear_token_details(self, value: dict[str, Any], choice: int) -> None:
        for holder in _row_holders(value):
            holder["logprobs"] = []
        del choice

    def retell_tokens(self, value: dict[str, Any], choice: int, said: Sequence[Said]) -> None:
        del choice
        retell_rows(value, said)
        for holder in _row_holders(value):
            texts = [holder[key] for key in _SAID if isinstance(holder.get(key), str)]
            if not rows_tell(holder["logprobs"], texts):
                holder["logprobs"] = []

    def reply(self, body: Body, reply: Reply, *, answer_id: str, created: int) -> dict[str, Any]:
        part: dict[str, Any] = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
        if reply.refusal:
            part = {"type": "refusal", "refusal": reply.text}
        return {
            **self._shell(body, answer_id, created, "completed"),
            "output": [_message(answer_id, "completed", [part])],
            "usage": _usage(self.passages(body), reply.text),
        }

    def reply_events(
        self, body: Body, reply: Reply, *, answer_id: str, created: int, like: Body | None = None
    ) -> Sequence[Body]:
        del like  # the events of one response have different shapes
        whole = self.reply(body, reply, answer_id=answer_id, created=created)
        item = whole["output"][0]
        part = item["content"][0]
        field, kind = ("refusal", "refusal") if reply.refusal else ("text", "output_text")
        at = {"item_id": item["id"], "output_index": 0, "content_index": 0}
        shell = self._shell(body, answer_id, created, "in_progress")
        bodies: list[dict[str, Any]] = [
            {"type": "response.created", "response": shell},
            {"type": "response.in_progress", "response": shell},
            {"type": "response.output_item.added", "output_index": 0, "item": _message(answer_id, "in_progress", [])},
            {"type": "response.content_part.added", **at, "part": {**part, field: ""}},
            *({"type": f"response.{kind}.delta", **at, "delta": piece} for piece in choices.in_pieces(reply.text)),
            {"type": f"response.{kind}.done", **at, field: reply.text},
            {"type": "response.content_part.done", **at, "part": part},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": whole},
        ]
        return [{**event, "sequence_number": number} for number, event in enumerate(bodies)]

    def _shell(self, body: Body, answer_id: str, created: int, status: str) -> dict[str, Any]:
        text = {"format": {"type": "text"}}
        return {
            "id": f"resp_{answer_id}",
            "object": "response",
            "created_at": created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": body.get("instructions"),
            "metadata": body.get("metadata") or {},
            "model": body.get("model"),
            "output": [],
            "parallel_tool_calls": body.get("parallel_tool_calls", True),
            "temperature": body.get("temperature", 1.0),
            "tool_choice": body.get("tool_choice", "auto"),
            "tools": body.get("tools") or [],
            "top_p": body.get("top_p", 1.0),
            "text": body.get("text") or text,
            "usage": None,
        }


_PARTS = 1000
"""A channel's number is output_index * 1000 + content_index."""

_SAID = ("delta", "text", "arguments", "refusal", "input", "transcript", "code")
_NOT_SAID = _NO_PROSE | {"item_id", "event_id", "name", "obfuscation", "partial_image_b64", "param"}
_FIELDS = (  # the first part of an event type that is met tells the field
    ("refusal", "refusal"),
    ("arguments", "arguments"),
    ("summary", "summary"),
    ("reasoning", "reasoning"),
    ("output_text", "text"),
    ("input", "input"),
    ("transcript", "transcript"),
    ("call_code", "code"),
)


def _number(event: Body) -> int:
    part = event.get("content_index", event.get("summary_index", 0))
    return int(event.get("output_index") or 0) * _PARTS + int(part or 0)


def _item_passages(item: Any, path: JsonPath) -> Iterator[Passage]:
    if not isinstance(item, dict):
        raise ApiError(f"Field 'input.{path[1]}' must be an object.", param=f"input.{path[1]}")
    kind = str(item.get("type", "message"))
    role = ROLES.get(str(item.get("role", "user")), Role.USER)
    if kind not in ("message", "reasoning"):
        role = Role.TOOL
    elif kind == "reasoning":
        role = Role.ASSISTANT
    for deep, text in texts_in(item, path, skip=_NO_PROSE | {"name"}):
        yield Passage(path=deep, role=role, text=text)


def _event_slots(event: Body) -> Iterator[TextSlot]:
    kind = str(event.get("type", ""))
    number, field = _number(event), _field_of(kind)
    for key, value in event.items():
        if not value or isinstance(value, int) or key in _NOT_SAID:
            continue
        if key == "response":
            yield from _output_slots(value, (key,), whole=True)
            yield from choices.error_slots(value, (key,))
        elif key == "item":
            yield from _item_slots(value, (key,), int(event.get("output_index") or 0), whole=True)
        elif key == "part":
            yield from _part_slots(value, (key,), number, _part_field(kind), whole=True)
        elif key == "logprobs":
            yield from choices.logprob_slots(value, (key,), number, whole=not kind.endswith(".delta"))
        else:
            name = field if key in _SAID else key
            for path, text in texts_in(value, (key,), skip=_NO_PROSE):
                yield TextSlot(path, _key(number, name), text, whole=key != "delta")


def _part_field(kind: str) -> str:
    if "summary" in kind:
        return "summary"
    return "reasoning" if "reasoning" in kind else "text"


def _field_of(kind: str) -> str:
    """The field that an event type speaks of: `response.function_call_arguments.delta` -> `arguments`."""
    name = kind.removeprefix("response.").rpartition(".")[0]
    return next((field for part, field in _FIELDS if part in name), name)


def _key(number: int, field: str) -> ChannelKey:
    return channel_key(number, field, field == "arguments")


def _output_slots(response: Body, path: JsonPath, *, whole: bool) -> Iterator[TextSlot]:
    for index, item in enumerate(response.get("output") or ()):
        yield from _item_slots(item, (*path, "output", index), index, whole=whole)


def _item_slots(item: Any, path: JsonPath, output_index: int, *, whole: bool) -> Iterator[TextSlot]:
    first = output_index * _PARTS
    said = "reasoning" if item.get("type") == "reasoning" else "text"
    for holder, field in (("content", said), ("summary", "summary")):
        parts = item.get(holder)
        for index, part in enumerate(parts if isinstance(parts, list) else ()):
            yield from _part_slots(part, (*path, holder, index), first + index, field, whole=whole)
    for deep, text in texts_in(item, path, skip=_NO_PROSE | {"content", "summary", "name"}):
        yield TextSlot(deep, _key(first, ".".join(map(str, deep[len(path) :]))), text, whole)


def _part_slots(part: Any, path: JsonPath, number: int, field: str, *, whole: bool) -> Iterator[TextSlot]:
    for deep, text in texts_in(part, path, skip=_NO_PROSE | {"annotations", "logprobs"}):
        yield TextSlot(deep, _key(number, "refusal" if deep[-1] == "refusal" else field), text, whole)
    if isinstance(part, Mapping):
        for deep, text in texts_in(part.get("annotations") or (), (*path, "annotations"), skip=_NO_PROSE):
            yield TextSlot(deep, _key(number, "annotation"), text, whole=True)
        if part.get("logprobs"):
            yield from choices.logprob_slots(part["logprobs"], (*path, "logprobs"), number, whole=whole)


def _row_holders(value: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What carries token rows in an answer or event: the event itself, its part, the parts of its items."""
    items = [*((value.get("response") or value).get("output") or ()), value.get("item") or {}]
    lists = [item.get("content") for item in items]
    parts = [part for found in lists if isinstance(found, list) for part in found]
    yield from (one for one in (value, value.get("part"), *parts) if isinstance(one, dict) and one.get("logprobs"))


def _message(answer_id: str, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": f"msg_{answer_id}", "type": "message", "role": "assistant", "status": status, "content": content}


def _usage(passages: Sequence[Passage], text: str) -> dict[str, Any]:
    prompt, said = sum(count_tokens(passage.text) for passage in passages), count_tokens(text)
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": said,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": prompt + said,
    }
