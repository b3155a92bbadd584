"""`/v1/completions`: one prompt or a list of prompts in, numbered texts out.

With a list, choice `i` answers prompt `i // n`. Prompts of token ids cannot be read and are refused while something is
to be forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from guardrail.decision import Passage, Role
from guardrail.errors import ApiError
from guardrail.openai_wire import choices
from guardrail.openai_wire.protocol import Body, Demonstration, Reply, TextSlot, channel_key, count_tokens
from guardrail.openai_wire.token_rows import Said

MAX_ANSWERS = 2_048
_UNSCANNABLE = ("echo", "prompt_logprobs")
_NO_PROSE = frozenset({"index", "finish_reason", "logprobs", "stop_reason", "token_ids", "prompt_token_ids"})


class CompletionsWire:
    """Plain completions."""

    name = "completions"
    path = "/v1/completions"

    def passages(self, body: Body) -> list[Passage]:
        prompt = body.get("prompt")
        prompts = prompt if isinstance(prompt, list) else [prompt]
        if not prompts or not all(isinstance(item, str) for item in prompts):
            raise ApiError("Field 'prompt' must be a string or a list of strings.", param="prompt")
        if len(prompts) * choices.wanted(body) > MAX_ANSWERS:
            raise ApiError(f"Fields 'prompt' and 'n' ask for more than {MAX_ANSWERS} answers.", param="prompt")
        if isinstance(prompt, str):
            found = [Passage(path=("prompt",), role=Role.USER, text=prompt)]
        else:
            found = [Passage(path=("prompt", index), role=Role.USER, text=item) for index, item in enumerate(prompts)]
        if isinstance(body.get("suffix"), str):
            found.append(Passage(path=("suffix",), role=Role.SYSTEM, text=body["suffix"]))
        return found

    def refuse_unscannable(self, body: Body) -> None:
        choices.refuse_fields(body, _UNSCANNABLE)

    def strip_revealing(self, body: Body) -> Body:
        return choices.without(body, choices.REVEALING)

    def with_instruction(self, body: Body, text: str, passages: Sequence[int]) -> Body:
        prompt = body["prompt"]
        if isinstance(prompt, str):
            return {**body, "prompt": f"{text}\n\n{prompt}"}
        edited = [f"{text}\n\n{item}" if index in passages else item for index, item in enumerate(prompt)]
        return {**body, "prompt": edited}

    def with_demonstrations(self, body: Body, pairs: Sequence[Demonstration], passages: Sequence[int]) -> Body:
        shown = "\n\n".join(f"Question: {asked}\nAnswer: {answered}" for asked, answered in pairs)
        return self.with_instruction(body, shown, passages) if pairs else body

    def passage_of_choice(self, body: Body, choice: int) -> int | None:
        return choice // choices.wanted(body) if isinstance(body["prompt"], list) else None

    def answer_slots(self, answer: Body) -> list[TextSlot]:
        return list(self._slots(answer))

    def event_slots(self, event: Body) -> list[TextSlot]:
        return list(self._slots(event))

    def _slots(self, value: Body) -> Iterator[TextSlot]:
        for position, choice in enumerate(value.get("choices") or ()):
            number = choice.get("index", position)
            for key, text in choice.items():
                if text and isinstance(text, str) and key not in _NO_PROSE:
                    yield TextSlot(("choices", position, key), channel_key(number, key), text)
            if choice.get("logprobs"):
                yield from choices.logprob_slots(choice["logprobs"], ("choices", position, "logprobs"), number)
        if "error" in value:
            yield from choices.error_slots(value)

    def ends(self, event: Body) -> Sequence[int] | None:
        return choices.ended(event)

    def says_more(self, event: Body) -> bool:
        return choices.says_more(event)

    def hide_treatment(self, value: dict[str, Any], original: Body) -> bool:
        del original
        return choices.hide_prompt(value)

    def split(self, event: Body, slot: TextSlot, said: str, rest: str) -> tuple[Body, Body] | None:
        return choices.split(event, slot, said, rest)

    def text_event(self, template: Body, choice: int, text: str) -> Body | None:
        return self._event(template, choice, text, None)

    def finish_events(self, template: Body, choice: int) -> Sequence[Body] | None:
        return [self._event(template, choice, "", "stop")]

    def _event(self, template: Body, choice: int, text: str, finish: str | None) -> Body:
        one = choices.choice_like(template, "text", choice, text, finish)
        return choices.event_like(template, "text_completion", [one])

    def with_reply(self, answer: dict[str, Any], choice: int, text: str) -> None:
        for item in choices.of_number(answer, choice):
            item["text"] = text
            item["finish_reason"] = "stop"
        self.clear_token_details(answer, choice)

    def clear_token_details(self, value: dict[str, Any], choice: int) -> None:
        choices.clear_token_details(value, choice)

    def retell_tokens(self, value: dict[str, Any], choice: int, said: Sequence[Said]) -> None:
        del said  # offsets into the text stand beside the tokens: all of it would have to move
        self.clear_token_details(value, choice)

    def reply(self, body: Body, reply: Reply, *, answer_id: str, created: int) -> dict[str, Any]:
        template = {"id": f"cmpl-{answer_id}", "created": created, "model": body.get("model")}
        count = self._count(body)
        answer = {**self._event(template, 0, reply.text, "stop"), "object": "text_completion"}
        answer["choices"] = [{**answer["choices"][0], "index": number} for number in range(count)]
        return {**answer, "usage": self._usage(body, reply.text)}

    def reply_events(
        self, body: Body, reply: Reply, *, answer_id: str, created: int, like: Body | None = None
    ) -> Sequence[Body]:
        template = like or {"id": f"cmpl-{answer_id}", "created": created, "model": body.get("model")}
        pieces = choices.in_pieces(reply.text)
        ends = [*[None] * (len(pieces) - 1), "stop"]
        events = [
            self._event(template, number, piece, end)
            for number in range(self._count(body))
            for piece, end in zip(pieces, ends, strict=True)
        ]
        if choices.wants_usage(body):
            events.append(choices.event_like(template, "text_completion", [], self._usage(body, reply.text)))
        return events

    def _count(self, body: Body) -> int:
        prompt = body["prompt"]
        return choices.wanted(body) * (len(prompt) if isinstance(prompt, list) else 1)

    def _usage(self, body: Body, text: str) -> dict[str, int]:
        prompt = sum(count_tokens(passage.text) for passage in self.passages(body))
        return choices.usage(prompt, count_tokens(text) * self._count(body))
