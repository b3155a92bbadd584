"""`/v1/responses`: input items in, output items out, typed stream events.

One "choice" of this format is one text: (output item, part). `*.delta` events carry pieces; `*.done`, `*.added` and the
closing events repeat whole texts. The sequence numbers of a stream belong to the backend, so its events are never split
and its own closing events are always awaited.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from guardrail.decision import JsonPath, Passage, Role
from guardrail.errors import ApiError
from guardrail.openai_wire import choices
from guardrail.openai_wire.chat import ROLES
from guardrail.openai_wire.json_path import texts_in
from guardrail.openai_wire.protocol import Body, ChannelKey, Reply, TextSlot, count_tokens

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
        given = body.get("instructions")
        return {**body, "instructions": f"{given}\n\n{text}" if given else text}

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
        holder = value.get("response") if isinstance(value.get("response"), dict) else value
        if not isinstance(holder, dict):
            return False
        changed = False
        for field in _ECHOED:
            if field in holder and holder[field] != original.get(field):
                holder[field] = original.get(field)
                changed = True
        return changed

    def split(self, event: Body, slot: TextSlot, at: int) -> tuple[Body, Body] | None:
        del event, slot, at
        return None

    def text_event(self, template: Body, choice: int, text: str) -> Body:
        return {
            "type": "response.output_text.delta",
            "item_id": template.get("item_id", ""),
            "output_index": choice // _PARTS,
            "content_index": choice % _PARTS,
            "sequence_number": template.get("sequence_number", 0),
            "logprobs": [],
            "delta": text,
        }

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
        if "logprobs" in value:
            value["logprobs"] = []
        for item in (value.get("response") or value).get("output") or ():
            for part in item.get("content") or ():
                if part.get("logprobs"):
                    part["logprobs"] = []
        part = value.get("part")
        if isinstance(part, dict) and part.get("logprobs"):
            part["logprobs"] = []
        del choice

    def reply(self, body: Body, reply: Reply, *, answer_id: str, created: int) -> dict[str, Any]:
        part: dict[str, Any] = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
        if reply.refusal:
            part = {"type": "refusal", "refusal": reply.text}
        return {
            **self._shell(body, answer_id, created, "completed"),
            "output": [_message(answer_id, "completed", [part])],
        }

    def reply_events(self, body: Body, reply: Reply, *, answer_id: str, created: int) -> Sequence[Body]:
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
            {"type": f"response.{kind}.delta", **at, "delta": reply.text},
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
            "usage": None if status != "completed" else _usage(self.passages(body)),
        }


_PARTS = 1000
"""A channel's number is output_index * 1000 + content_index."""


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
    number = _number(event)
    if kind.endswith(".delta") and isinstance(event.get("delta"), str) and event["delta"]:
        yield TextSlot(path=("delta",), key=_key(number, _field_of(kind)), text=event["delta"])
    elif isinstance(event.get("response"), dict):
        yield from _output_slots(event["response"], ("response",), whole=True)
    elif isinstance(event.get("item"), dict):
        yield from _item_slots(event["item"], ("item",), int(event.get("output_index") or 0), whole=True)
    elif isinstance(event.get("part"), dict):
        yield from _part_slots(event["part"], ("part",), number, whole=True)
    else:
        for field in ("text", "arguments", "refusal", "input", "transcript", "code"):
            if isinstance(event.get(field), str) and event[field]:
                yield TextSlot(path=(field,), key=_key(number, _field_of(kind)), text=event[field], whole=True)


def _field_of(kind: str) -> str:
    for field in ("refusal", "arguments", "summary"):
        if field in kind:
            return field
    return "text"


def _key(number: int, field: str) -> ChannelKey:
    return ChannelKey(choice=number, field=field, structured=field == "arguments")


def _output_slots(response: Body, path: JsonPath, *, whole: bool) -> Iterator[TextSlot]:
    for index, item in enumerate(response.get("output") or ()):
        yield from _item_slots(item, (*path, "output", index), index, whole=whole)


def _item_slots(item: Any, path: JsonPath, output_index: int, *, whole: bool) -> Iterator[TextSlot]:
    first = output_index * _PARTS
    for field in ("content", "summary"):
        parts = item.get(field)
        for index, part in enumerate(parts if isinstance(parts, list) else ()):
            for slot in _part_slots(part, (*path, field, index), first + index, whole=whole):
                yield (
                    slot
                    if field == "content"
                    else TextSlot(path=slot.path, key=_key(first + index, "summary"), text=slot.text, whole=whole)
                )
    for deep, text in texts_in(item, path, skip=_NO_PROSE | {"content", "summary", "name"}):
        field = "arguments" if deep[-1] == "arguments" else ".".join(map(str, deep[len(path) :]))
        yield TextSlot(path=deep, key=_key(first, field), text=text, whole=whole)


def _part_slots(part: Any, path: JsonPath, number: int, *, whole: bool) -> Iterator[TextSlot]:
    for deep, text in texts_in(part, path, skip=_NO_PROSE | {"annotations", "logprobs"}):
        field = "refusal" if deep[-1] == "refusal" else "text"
        yield TextSlot(path=deep, key=_key(number, field), text=text, whole=whole)


def _message(answer_id: str, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": f"msg_{answer_id}", "type": "message", "role": "assistant", "status": status, "content": content}


def _usage(passages: Sequence[Passage]) -> dict[str, Any]:
    prompt = sum(count_tokens(passage.text) for passage in passages)
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": prompt,
    }
