"""`/v1/chat/completions`: messages in, choices out.

Every string below `message` and `delta` counts as outgoing text, whatever its key, but for the few keys that hold no
prose (`role`, `type`, `id`, binary data): a field that a backend adds tomorrow is inspected today.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from guardrail.decision import JsonPath, Passage, Role
from guardrail.errors import ApiError
from guardrail.openai_wire import choices
from guardrail.openai_wire.json_path import replace_at, texts_in
from guardrail.openai_wire.protocol import (
    ROLES,
    Body,
    Demonstration,
    Reply,
    TextSlot,
    as_turns,
    channel_key,
    count_tokens,
    last_turn_start,
)
from guardrail.openai_wire.token_rows import Said

_NO_PROSE = frozenset({"role", "type", "id", "index", "image_url", "input_audio", "file", "data", "url"})
_NOT_SAID = _NO_PROSE - {"url"}  # an address that a model gives may spell a name
_UNSCANNABLE = ("prompt_logprobs", "echo", "chat_template", "documents")


class ChatWire:
    """Chat completions."""

    name = "chat_completions"
    path = "/v1/chat/completions"

    def passages(self, body: Body) -> list[Passage]:
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise ApiError("Field 'messages' must be a non-empty list.", param="messages")
        found: list[Passage] = []
        for index, message in enumerate(messages):
            if not isinstance(message, dict):
                raise ApiError(f"Field 'messages.{index}' must be an object.", param=f"messages.{index}")
            role = ROLES.get(str(message.get("role")), Role.USER)
            for path, text in texts_in(message, ("messages", index), skip=_NO_PROSE):
                found.append(Passage(path=path, role=Role.TOOL if _is_tool_call(path) else role, text=text))
        for key in ("tools", "functions"):
            for path, text in texts_in(body.get(key) or (), (key,), skip=_NO_PROSE | {"name", "required", "strict"}):
                found.append(Passage(path=path, role=Role.SYSTEM, text=text))
        return found

    def refuse_unscannable(self, body: Body) -> None:
        choices.refuse_fields(body, _UNSCANNABLE)
        for index, message in enumerate(body["messages"]):
            content = message.get("content")
            parts = content if isinstance(content, list) else ()
            if any(isinstance(part, dict) and part.get("type") == "prompt_embeds" for part in parts):
                raise choices.not_available(f"messages.{index}.content", "prompt embeddings; send text")

    def strip_revealing(self, body: Body) -> Body:
        return choices.without(body, choices.REVEALING)

    def with_instruction(self, body: Body, text: str, passages: Sequence[int]) -> Body:
        del passages
        messages = list(body["messages"])
        users = [place for place, message in enumerate(messages) if ROLES.get(str(message.get("role"))) is Role.USER]
        if not users:
            return {**body, "messages": [*messages, {"role": "user", "content": text}]}
        last = messages[users[-1]]
        content = last.get("content")
        joined = (
            [*content, {"type": "text", "text": text}] if isinstance(content, list) else f"{content or ''}\n\n{text}"
        )
        messages[users[-1]] = {**last, "content": joined}
        return {**body, "messages": messages}

    def with_demonstrations(self, body: Body, pairs: Sequence[Demonstration], passages: Sequence[int]) -> Body:
        del passages
        messages = list(body["messages"])
        start = last_turn_start([ROLES.get(str(message.get("role"))) for message in messages])
        return {**body, "messages": [*messages[:start], *as_turns(pairs), *messages[start:]]}

    def passage_of_choice(self, body: Body, choice: int) -> int | None:
        del body, choice
        return None

    def answer_slots(self, answer: Body) -> list[TextSlot]:
        return _slots(answer, "message")

    def event_slots(self, event: Body) -> list[TextSlot]:
        return _slots(event, "delta")

    def ends(self, event: Body) -> Sequence[int] | None:
        return choices.ended(event)

    def says_more(self, event: Body) -> bool:
        return choices.says_more(event)

    def hide_treatment(self, value: dict[str, Any], original: Body) -> bool:
        del original
        return choices.hide_prompt(value)

    def split(self, event: Body, slot: TextSlot, said: str, rest: str) -> tuple[Body, Body] | None:
        if any(step != 0 for step in slot.path[4:] if isinstance(step, int)):
            return None
        first, second = choices.split(event, slot, said, rest)
        # What opens a message or a tool call is said once: clients join the pieces of every field.
        delta = _only(second["choices"][slot.path[1]]["delta"], slot.path[3:])
        return first, replace_at(second, slot.path[:3], delta)

    def text_event(self, template: Body, choice: int, text: str) -> Body | None:
        return self._event(template, choice, {"content": text}, None)

    def finish_events(self, template: Body, choice: int) -> Sequence[Body] | None:
        return [self._event(template, choice, {}, "stop")]

    def _event(self, template: Body, choice: int, delta: dict[str, Any], finish: str | None) -> Body:
        one = choices.choice_like(template, "delta", choice, delta, finish)
        return choices.event_like(template, "chat.completion.chunk", [one])

    def with_reply(self, answer: dict[str, Any], choice: int, text: str) -> None:
        for item in choices.of_number(answer, choice):
            old = item.get("message") or {}
            kept: dict[str, Any] = {
                key: None for key in old if key not in ("role", "content", "refusal", "annotations", "audio")
            }
            kept.update({"role": old.get("role", "assistant"), "content": text, "refusal": None})
            item["message"] = {key: [] if isinstance(old.get(key), list) else value for key, value in kept.items()}
            item["finish_reason"] = "stop"
        self.clear_token_details(answer, choice)

    def clear_token_details(self, value: dict[str, Any], choice: int) -> None:
        choices.clear_token_details(value, choice)

    def retell_tokens(self, value: dict[str, Any], choice: int, said: Sequence[Said]) -> None:
        choices.retell_tokens(value, choice, said)

    def reply(self, body: Body, reply: Reply, *, answer_id: str, created: int) -> dict[str, Any]:
        message = {"role": "assistant", "content": None, "refusal": reply.text}
        if not reply.refusal:
            message = {"role": "assistant", "content": reply.text, "refusal": None}
        one = {"message": message, "logprobs": None, "finish_reason": "stop"}
        return {
            "id": f"chatcmpl-{answer_id}",
            "object": "chat.completion",
            "created": created,
            "model": body.get("model"),
            "choices": [{"index": index, **one} for index in range(choices.wanted(body))],
            "usage": _usage(body, reply.text),
        }

    def reply_events(
        self, body: Body, reply: Reply, *, answer_id: str, created: int, like: Body | None = None
    ) -> Sequence[Body]:
        template = like or {"id": f"chatcmpl-{answer_id}", "created": created, "model": body.get("model")}
        field = "refusal" if reply.refusal else "content"
        events: list[Body] = []
        for number in range(choices.wanted(body)):
            events.append(self._event(template, number, {"role": "assistant", "content": ""}, None))
            events += [self._event(template, number, {field: one}, None) for one in choices.in_pieces(reply.text)]
            events.append(self._event(template, number, {}, "stop"))
        if choices.wants_usage(body):
            events.append(choices.event_like(template, "chat.completion.chunk", [], _usage(body, reply.text)))
        return events


def _slots(value: Body, part: str) -> list[TextSlot]:
    """Every text of the choices; the plain content of a chunk is by far the most frequent and goes first."""
    found: list[TextSlot] = []
    for position, choice in enumerate(value.get("choices") or ()):
        number = choice.get("index", position)
        for key, item in (choice.get(part) or {}).items():
            if not item or key in _NOT_SAID:
                continue
            path: JsonPath = ("choices", position, part, key)
            if isinstance(item, str):
                found.append(TextSlot(path, channel_key(number, key), item))
            elif key == "tool_calls":
                found.extend(_tool_slots(item, path, number))
            else:
                for deep, text in texts_in(item, path, skip=_NOT_SAID):
                    field = ".".join(map(str, deep[3:]))
                    found.append(TextSlot(deep, channel_key(number, field, deep[-1] == "arguments"), text))
        if choice.get("logprobs"):
            found.extend(choices.logprob_slots(choice["logprobs"], ("choices", position, "logprobs"), number))
    if "error" in value:
        found.extend(choices.error_slots(value))
    return found


def _tool_slots(calls: Any, path: JsonPath, number: int) -> Iterator[TextSlot]:
    """Tool calls keep their own index over chunks."""
    for position, call in enumerate(calls):
        index = call.get("index", position)
        for deep, text in texts_in(call, (*path, position), skip=_NOT_SAID):
            field = ".".join(map(str, deep[5:]))
            yield TextSlot(deep, channel_key(number, f"tool_calls.{index}.{field}", deep[-1] == "arguments"), text)


def _only(value: Any, path: JsonPath) -> Any:
    """`value` with what lies on `path`, and the indexes that tell a list's items apart."""
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(value, list) and isinstance(head, int):
        return [_only(value[head], rest)]
    kept = {head: _only(value[head], rest)}
    return {"index": value["index"], **kept} if "index" in value else kept


def _usage(body: Body, text: str) -> Mapping[str, int]:
    prompt = sum(count_tokens(passage.text) for passage in ChatWire().passages(body))
    return choices.usage(prompt, count_tokens(text) * choices.wanted(body))


def _is_tool_call(path: JsonPath) -> bool:
    """True for what an assistant handed to a tool."""
    return path[-1] == "arguments" and ("tool_calls" in path or "function_call" in path)
