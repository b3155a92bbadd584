"""What a computed answer looks like as chat completion or text completion, whole and streamed.

Backends that generate text themselves say it in `Piece`s; a shape turns pieces into OpenAI JSON or SSE bytes. A shape
does not know how the text is made. The role comes in the first delta only, the finish reason exactly once per choice,
the usage chunk (`choices: []`) last before `[DONE]`.
Sources: OpenAI API reference, chat completions and completions objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenLogprob:
    """A token, its log-probability (natural logarithm), and the likeliest tokens in its place."""

    token: str
    raw: bytes
    logprob: float
    top: tuple[tuple[str, bytes, float], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolPiece:
    """Part of a tool call. `name` is set on the first piece of a call and empty on the others."""

    call: int
    id: str
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """The next bit of one choice's answer. `finish` is set once, on the choice's last piece."""

    index: int = 0
    text: str = ""
    reasoning: str = ""
    tool: ToolPiece | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    finish: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens of the prompt and of all choices together."""

    prompt: int
    completion: int

    def as_json(self) -> dict[str, int]:
        """The `usage` object of chat and text completions."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """What every object of one answer repeats. `created` in seconds since the epoch. `body` is the decoded request."""

    id: str
    model: str
    created: int
    choices: int = 1
    include_usage: bool = False
    body: dict[str, Any] = field(default_factory=dict)


class Shape(Protocol):
    """Turns pieces into the bytes of one endpoint."""

    def opening(self) -> list[bytes]:
        """SSE events before the first piece."""
        ...

    def event(self, piece: Piece) -> list[bytes]:
        """SSE events for a piece."""
        ...

    def closing(self, usage: Usage) -> list[bytes]:
        """SSE events after the last piece."""
        ...

    def whole(self, pieces: Iterable[Piece], usage: Usage) -> bytes:
        """The body of an answer that is not streamed."""
        ...


@dataclass(slots=True)
class Collected:
    """All pieces of one choice, joined."""

    text: str = ""
    reasoning: str = ""
    tools: list[ToolPiece] = field(default_factory=list)
    logprobs: list[TokenLogprob] | None = None
    finish: str = "stop"

    def add(self, piece: Piece) -> None:
        """Append a piece."""
        self.text += piece.text
        self.reasoning += piece.reasoning
        if piece.tool is not None:
            self._add_tool(piece.tool)
        if piece.logprobs is not None:
            self.logprobs = [*(self.logprobs or ()), *piece.logprobs]
        self.finish = piece.finish or self.finish

    def _add_tool(self, tool: ToolPiece) -> None:
        if tool.call < len(self.tools):
            old = self.tools[tool.call]
            joined = old.arguments + tool.arguments
            self.tools[tool.call] = ToolPiece(call=old.call, id=old.id, name=old.name, arguments=joined)
        else:
            self.tools.append(tool)


def collect(pieces: Iterable[Piece], choices: int) -> list[Collected]:
    """Join pieces by choice."""
    collected = [Collected() for _ in range(choices)]
    for piece in pieces:
        collected[piece.index].add(piece)
    return collected


def sse(data: object) -> bytes:
    """One event with a JSON payload."""
    return b"data: " + orjson.dumps(data) + b"\n\n"


def chat_logprobs(tokens: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
    """`logprobs.content` of chat completions."""
    return [
        {
            "token": token.token,
            "logprob": token.logprob,
            "bytes": list(token.raw),
            "top_logprobs": [{"token": t, "logprob": value, "bytes": list(raw)} for t, raw, value in token.top],
        }
        for token in tokens
    ]


class ChatShape:
    """`chat.completion` and `chat.completion.chunk`; reasoning in the field `reasoning`, as vLLM names it."""

    def __init__(self, head: Head) -> None:
        self._head = head

    def _chunk(self, choices: list[dict[str, Any]], usage: Usage | None = None) -> bytes:
        head = self._head
        data: dict[str, Any] = {"id": head.id, "object": "chat.completion.chunk", "created": head.created}
        data |= {"model": head.model, "choices": choices}
        if head.include_usage:
            data["usage"] = usage.as_json() if usage else None
        return sse(data)

    def opening(self) -> list[bytes]:
        """One delta with the role for each choice."""
        delta = {"role": "assistant", "content": ""}
        return [
            self._chunk([{"index": index, "delta": delta, "logprobs": None, "finish_reason": None}])
            for index in range(self._head.choices)
        ]

    def event(self, piece: Piece) -> list[bytes]:
        """One chunk."""
        delta: dict[str, Any] = {}
        if piece.reasoning:
            delta["reasoning"] = piece.reasoning
        if piece.text:
            delta["content"] = piece.text
        if piece.tool is not None:
            function = {"arguments": piece.tool.arguments}
            call: dict[str, Any] = {"index": piece.tool.call, "function": function}
            if piece.tool.name:
                call |= {"id": piece.tool.id, "type": "function"}
                call["function"] = {"name": piece.tool.name, **function}
            delta["tool_calls"] = [call]
        logprobs = None if piece.logprobs is None else {"content": chat_logprobs(piece.logprobs), "refusal": None}
        return [
            self._chunk([{"index": piece.index, "delta": delta, "logprobs": logprobs, "finish_reason": piece.finish}])
        ]

    def closing(self, usage: Usage) -> list[bytes]:
        """The usage chunk if asked for, then the end mark."""
        return [self._chunk([], usage), DONE] if self._head.include_usage else [DONE]

    def _choice(self, index: int, said: Collected) -> dict[str, Any]:
        content = said.text if said.text or not said.tools else None
        message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
        if said.reasoning:
            message["reasoning"] = said.reasoning
        if said.tools:
            message["tool_calls"] = [
                {"id": tool.id, "type": "function", "function": {"name": tool.name, "arguments": tool.arguments}}
                for tool in said.tools
            ]
        logprobs = None if said.logprobs is None else {"content": chat_logprobs(said.logprobs), "refusal": None}
        return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": said.finish}

    def whole(self, pieces: Iterable[Piece], usage: Usage) -> bytes:
        """A `chat.completion`."""
        head = self._head
        choices = [self._choice(index, said) for index, said in enumerate(collect(pieces, head.choices))]
        data: dict[str, Any] = {"id": head.id, "object": "chat.completion", "created": head.created}
        return orjson.dumps(data | {"model": head.model, "choices": choices, "usage": usage.as_json()})


class CompletionShape:
    """`text_completion`, whole and streamed."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._offsets = [0] * head.choices

    def _data(self, choices: list[dict[str, Any]], usage: Usage | None) -> dict[str, Any]:
        head = self._head
        data: dict[str, Any] = {"id": head.id, "object": "text_completion", "created": head.created}
        data |= {"model": head.model, "choices": choices}
        if usage is not None:
            data["usage"] = usage.as_json()
        elif head.include_usage:
            data["usage"] = None
        return data

    def _logprobs(self, tokens: Sequence[TokenLogprob] | None, offset: int) -> dict[str, Any] | None:
        if tokens is None:
            return None
        offsets = []
        for token in tokens:
            offsets.append(offset)
            offset += len(token.token)
        return {
            "tokens": [token.token for token in tokens],
            "token_logprobs": [token.logprob for token in tokens],
            "top_logprobs": [{text: value for text, _, value in token.top} for token in tokens],
            "text_offset": offsets,
        }

    def opening(self) -> list[bytes]:
        """Nothing: text completions have no opening."""
        return []

    def event(self, piece: Piece) -> list[bytes]:
        """One chunk."""
        logprobs = self._logprobs(piece.logprobs, self._offsets[piece.index])
        self._offsets[piece.index] += len(piece.text)
        choice = {"index": piece.index, "text": piece.text, "logprobs": logprobs, "finish_reason": piece.finish}
        return [sse(self._data([choice], None))]

    def closing(self, usage: Usage) -> list[bytes]:
        """The usage chunk if asked for, then the end mark."""
        return [sse(self._data([], usage)), DONE] if self._head.include_usage else [DONE]

    def whole(self, pieces: Iterable[Piece], usage: Usage) -> bytes:
        """A `text_completion`."""
        choices: list[dict[str, Any]] = [
            {
                "index": index,
                "text": said.text,
                "logprobs": self._logprobs(said.logprobs, 0),
                "finish_reason": said.finish,
            }
            for index, said in enumerate(collect(pieces, self._head.choices))
        ]
        return orjson.dumps(self._data(choices, usage))
