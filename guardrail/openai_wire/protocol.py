"""What a wire format is: where texts sit in requests, answers and stream events of one endpoint.

A format is pure: decoded JSON in, decoded JSON out, originals never changed. It knows neither entries nor treatments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol
from uuid import uuid4

from guardrail.decision import JsonPath, Passage, Role
from guardrail.openai_wire.token_rows import Said

Body = Mapping[str, Any]

Demonstration = tuple[str, str]
"""What is asked, and what is answered."""

ROLES = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "tool": Role.TOOL,
    "function": Role.TOOL,
}
"""Role names on the wire; any other is taken for a user."""


class ChannelKey(NamedTuple):
    """One continuous outgoing text: a field (`content`, `reasoning`, `tool_calls.0.function.arguments` ...) of one choice.

    `structured` texts hold JSON (tool-call arguments): repairs must keep it valid. A tuple, as every streamed chunk
    looks its channel up.
    """

    choice: int
    field: str
    structured: bool = False

    @property
    def is_answer(self) -> bool:
        """True for the text that the caller reads as the answer, as against reasoning and tool calls."""
        return self.field in ("content", "text")

    @property
    def is_token_detail(self) -> bool:
        """True for tokens and their alternatives, which stand beside the text."""
        return self.field.startswith("logprobs")

    @property
    def is_chosen_token(self) -> bool:
        """True for the tokens of the answer, as against their alternatives."""
        return self.is_token_detail and self.field.endswith(".chosen")


@lru_cache(maxsize=4096)
def channel_key(choice: int, field: str, structured: bool = False) -> ChannelKey:
    """The key of a channel, made once."""
    return ChannelKey(choice, field, structured)


class TextSlot(NamedTuple):
    """A text in an answer or event. `whole` repeats a text whose pieces have been sent before (Responses `*.done`)."""

    path: JsonPath
    key: ChannelKey
    text: str
    whole: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What a synthetic answer says, and how it ends."""

    text: str
    refusal: bool = False


class WireFormat(Protocol):
    """One endpoint's shapes."""

    name: str
    path: str

    def passages(self, body: Body) -> list[Passage]:
        """Every text of the request that the model will see, in order. Raises `ApiError` (400) on a shape that cannot
        be read."""
        ...

    def refuse_unscannable(self, body: Body) -> None:
        """Raise `ApiError` (400) for fields that would escape inspection or reveal a treatment."""
        ...

    def strip_revealing(self, body: Body) -> Body:
        """The body without fields whose only effect is to show the prompt as the model saw it."""
        ...

    def with_instruction(self, body: Body, text: str, passages: Sequence[int]) -> Body:
        """The body with `text` at the end of the last user turn: behind the system text and the conversation, so that a
        backend's prefix cache keeps all that was there before. `passages`: indexes that matched (list prompts)."""
        ...

    def with_demonstrations(self, body: Body, pairs: Sequence[Demonstration], passages: Sequence[int]) -> Body:
        """The body with questions and answers as earlier turns, right before the last user turn: behind the system text
        and the conversation so far. `passages`: indexes that matched (list prompts)."""
        ...

    def passage_of_choice(self, body: Body, choice: int) -> int | None:
        """Which passage a choice answers, where one request holds several prompts; else None."""
        ...

    def answer_slots(self, answer: Body) -> list[TextSlot]:
        """The texts of a whole answer."""
        ...

    def event_slots(self, event: Body) -> list[TextSlot]:
        """The texts of one stream event."""
        ...

    def ends(self, event: Body) -> Sequence[int] | None:
        """Choices whose text ends with this event, or has ended before it; None: all of them."""
        ...

    def says_more(self, event: Body) -> bool:
        """True if an event matters beside its texts: it ends a choice, opens a message, or carries usage."""
        ...

    def hide_treatment(self, value: dict[str, Any], original: Body) -> bool:
        """Put the caller's own request fields back where an answer or event repeats the request. True if changed."""
        ...

    def split(self, event: Body, slot: TextSlot, said: str, rest: str) -> tuple[Body, Body] | None:
        """Two events for one: with the text `said`, and with `rest` and all that comes behind the text. None where
        events of this kind cannot be split."""
        ...

    def text_event(self, template: Body, choice: int, text: str) -> Body | None:
        """An event that carries `text` as content of `choice`, with the stream's ids taken from `template`; None where
        events cannot be added to the backend's."""
        ...

    def finish_events(self, template: Body, choice: int) -> Sequence[Body] | None:
        """Events that end `choice` early, or None where the backend's own closing events must be awaited."""
        ...

    def with_reply(self, answer: dict[str, Any], choice: int, text: str) -> None:
        """Replace the content of one choice of a whole answer (in place) and all that describes the old content."""
        ...

    def clear_token_details(self, value: dict[str, Any], choice: int) -> None:
        """Drop logprobs, token ids and the like of one choice (in place): they would still spell the old text."""
        ...

    def retell_tokens(self, value: dict[str, Any], choice: int, said: Sequence[Said]) -> None:
        """Put the words as which a choice leaves into its token rows (in place), so that these do not spell the old ones;
        drop what cannot be told otherwise."""
        ...

    def reply(self, body: Body, reply: Reply, *, answer_id: str, created: int) -> dict[str, Any]:
        """A whole synthetic answer."""
        ...

    def reply_events(
        self, body: Body, reply: Reply, *, answer_id: str, created: int, like: Body | None = None
    ) -> Sequence[Body]:
        """The same as stream events (without `[DONE]`), word by word; shaped as `like`, an event of the backend's stream
        for this request, where events of this kind can be."""
        ...


def last_turn_start(roles: Sequence[Role | None]) -> int:
    """Where the last user turn begins: the user messages in a row that nobody else speaks between. Where there is none,
    the place behind the system texts that come first."""
    users = [place for place, role in enumerate(roles) if role is Role.USER]
    if not users:
        return next((place for place, role in enumerate(roles) if role is not Role.SYSTEM), len(roles))
    start = users[-1]
    while start and roles[start - 1] is Role.USER:
        start -= 1
    return start


def as_turns(pairs: Sequence[Demonstration]) -> list[dict[str, Any]]:
    """Questions and answers as messages of a user and an assistant."""
    return [
        {"role": role, "content": text}
        for pair in pairs
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]


def fresh_id() -> str:
    """What tells an answer from all others, as vLLM writes it."""
    return uuid4().hex


def count_tokens(text: str) -> int:
    """A rough token count (4 characters a token) for usage fields of synthetic text; 0 only for empty text."""
    return (len(text) + 3) // 4
