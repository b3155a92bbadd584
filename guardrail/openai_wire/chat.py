"""`/v1/chat/completions`: messages in, choices out.

Every string below `message` and `delta` counts as outgoing text, whatever its key, but for the few keys that hold no
prose (`role`, `type`, `id`): a field that a backend adds tomorrow is inspected today.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from guardrail.decision import JsonPath, Passage, Role
from guardrail.errors import ApiError
from guardrail.openai_wire import choices
from guardrail.openai_wire.json_path import replace_at, texts_in
from guardrail.openai_wire.protocol import Body, ChannelKey, Reply, TextSlot, count_tokens

ROLES = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "tool": Role.TOOL,
    "function": Role.TOOL,
}
_NO_PROSE = frozenset({"role", "type", "id", "index", "image_url", "input_audio", "file", "data", "url"})
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
                found.append(Passage(path=path, role=Role.TOOL if "arguments" in path else role, text=text))
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
        last = -1
        while last + 1 < len(messages) and ROLES.get(messages[last + 1].get("role")) is Role.SYSTEM:
            last += 1
        if last < 0:
            messages.insert(0, {"role": "system", "content": text})
        else:
            content = messages[last].get("content")
            joined = [*content, {"type": "text", "text": text}] if isinstance(content, list) else f"{content}\n\n{text}"
            messages[last] = {**messages[last], "content": joined}
        return {**body, "messages": messages}

    def passage_of_choice(self, body: Body, choice: int) -> int | None:
        del body, choice
        return None

    def answer_slots(self, answer: Body) -> list[TextSlot]:
        return list(self._slots(answer, "message"))

    def event_slots(self, event: Body) -> list[TextSlot]:
        return list(self._slots(event, "delta"))

    def _slots(self, value: Body, part: str) -> Iterator[TextSlot]:
        for position, choice in enumerate(value.get("choices") or ()):
            number = choice.get("index", position)
            base: JsonPath = ("choices", position, part)
            for key, item in (choice.get(part) or {}).items():
                if item and key not in _NO_PROSE:
                    yield from _field_slots(key, item, (*base, key), number)
            yield from choices.logprob_slots(choice, position, number)

    def ends(self, event: Body) -> Sequence[int] | None:
        return choices.ended(event)

    def says_more(self, event: Body) -> bool:
        return choices.says_more(event)

    def hide_treatment(self, value: dict[str, Any], original: Body) -> bool:
        del original
        return choices.hide_prompt(value)

    def split(self, event: Body, slot: TextSlot, at: int) -> tuple[Body, Body] | None:
        first, second = choices.split(event, slot, at)
        second = replace_at(
            second, (*slot.path[:3],), choices.without(second["choices"][slot.path[1]]["delta"], ("role",))
        )
        return first, second

    def text_event(self, template: Body, choice: int, text: str) -> Body:
        return self._event(template, choice, {"content": text}, None)

    def finish_events(self, template: Body, choice: int) -> Sequence[Body] | None:
        return [self._event(template, choice, {}, "stop")]

    def _event(self, template: Body, choice: int, delta: dict[str, Any], finish: str | None) -> Body:
        return {
            **choices.envelope(template, "chat.completion.chunk"),
            "choices": [{"index": choice, "delta": delta, "logprobs": None, "finish_reason": finish}],
        }

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

    def reply_events(self, body: Body, reply: Reply, *, answer_id: str, created: int) -> Sequence[Body]:
        template = {"id": f"chatcmpl-{answer_id}", "created": created, "model": body.get("model")}
        field = "refusal" if reply.refusal else "content"
        events: list[Body] = []
        for number in range(choices.wanted(body)):
            events.append(self._event(template, number, {"role": "assistant", "content": ""}, None))
            events.append(self._event(template, number, {field: reply.text}, None))
            events.append(self._event(template, number, {}, "stop"))
        if choices.wants_usage(body):
            events.append(
                {
                    **choices.envelope(template, "chat.completion.chunk"),
                    "choices": [],
                    "usage": _usage(body, reply.text),
                }
            )
        return events


def _field_slots(key: str, item: Any, path: JsonPath, number: int) -> Iterator[TextSlot]:
    """Slots of one field of a message or delta; tool calls keep their own index over chunks."""
    if key == "tool_calls" and isinstance(item, list):
        for position, call in enumerate(item):
            function = call.get("function") or call.get("custom") or {}
            call_path = (*path, position, "function" if "function" in call else "custom")
            for name, text in function.items():
                if isinstance(text, str) and text:
                    channel = f"tool_calls.{call.get('index', position)}.{name}"
                    yield _slot(number, channel, (*call_path, name), text, structured=name == "arguments")
        return
    for deep, text in texts_in(item, path, skip=_NO_PROSE):
        structured = deep[-1] == "arguments"
        yield _slot(number, ".".join(map(str, deep[3:])), deep, text, structured=structured)


def _slot(number: int, field: str, path: JsonPath, text: str, *, structured: bool) -> TextSlot:
    return TextSlot(path=path, key=ChannelKey(choice=number, field=field, structured=structured), text=text)


def _usage(body: Body, text: str) -> Mapping[str, int]:
    prompt = sum(count_tokens(passage.text) for passage in ChatWire().passages(body))
    return choices.usage(prompt, count_tokens(text) * choices.wanted(body))
