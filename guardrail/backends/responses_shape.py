"""What a computed answer looks like on `/v1/responses`, whole and as the event sequence of a stream.

It turns `Piece`s of one choice into output items (reasoning, message, function calls, in the order in which they
begin) and knows nothing of how they are made. Events carry `sequence_number` from 0; the stream ends with
`response.completed` (or `response.incomplete`); unlike chat completions there is no `[DONE]`.
Source: OpenAI API reference, responses and responses streaming.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from guardrail.backends.shapes import Head, Piece, TokenLogprob, ToolPiece, Usage, chat_logprobs

_MIRRORED = (
    "instructions",
    "max_output_tokens",
    "metadata",
    "parallel_tool_calls",
    "previous_response_id",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
)
_DEFAULTS: dict[str, Any] = {"metadata": {}, "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
_DEFAULTS |= {"text": {"format": {"type": "text"}}, "truncation": "disabled"}


def _stream_logprobs(tokens: tuple[TokenLogprob, ...]) -> list[dict[str, Any]]:
    return [
        {
            "token": token.token,
            "logprob": token.logprob,
            "top_logprobs": [{"token": text, "logprob": value} for text, _, value in token.top],
        }
        for token in tokens
    ]


class _Item:
    """One output item under way; `key` tells items of one answer apart ("reasoning", "message", "call0" ...)."""

    def __init__(self, key: str, data: dict[str, Any]) -> None:
        self.key = key
        self.data = data
        self.text = ""
        self.logprobs: tuple[TokenLogprob, ...] = ()

    def part(self) -> dict[str, Any]:
        """The content part of a message or reasoning item."""
        if self.key == "reasoning":
            return {"type": "reasoning_text", "text": self.text}
        part = {"type": "output_text", "text": self.text, "annotations": []}
        return part | {"logprobs": chat_logprobs(self.logprobs)}

    def finish(self, status: str) -> dict[str, Any]:
        """The item in its final state."""
        self.data["status"] = status
        if self.key in ("message", "reasoning"):
            self.data["content"] = [self.part()]
        else:
            self.data["arguments"] = self.text
        return self.data


class ResponsesShape:
    """`response` and its events. One answer only: responses have no `n`."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._sequence = 0
        self._items: list[_Item] = []
        self._finish = "stop"

    def _event(self, kind: str, **fields: Any) -> bytes:
        data = orjson.dumps({"type": kind, "sequence_number": self._sequence, **fields})
        self._sequence += 1
        return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"

    def _response(self, status: str, usage: Usage | None) -> dict[str, Any]:
        head = self._head
        data: dict[str, Any] = {"id": head.id, "object": "response", "created_at": head.created, "status": status}
        data |= {"error": None, "incomplete_details": None, "model": head.model}
        data |= {key: head.body.get(key, _DEFAULTS.get(key)) for key in _MIRRORED}
        data["store"] = False
        data["output"] = [item.data for item in self._items] if usage else []
        data["usage"] = None
        if status == "incomplete":
            data["incomplete_details"] = {"reason": "max_output_tokens"}
        if usage is not None:
            data["usage"] = {
                "input_tokens": usage.prompt,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": usage.completion,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": usage.prompt + usage.completion,
            }
        return data

    def opening(self) -> list[bytes]:
        """`response.created`, `response.in_progress`."""
        shown = self._response("in_progress", None)
        return [self._event("response.created", response=shown), self._event("response.in_progress", response=shown)]

    def _open_item(self, key: str, tool: ToolPiece | None) -> list[bytes]:
        kind = {"message": "msg", "reasoning": "rs"}.get(key, "fc")
        data: dict[str, Any] = {"id": f"{kind}_{self._head.id[5:]}{len(self._items)}", "status": "in_progress"}
        if tool is not None:
            data |= {"type": "function_call", "call_id": tool.id, "name": tool.name, "arguments": ""}
        elif key == "reasoning":
            data |= {"type": "reasoning", "summary": [], "content": []}
        else:
            data |= {"type": "message", "role": "assistant", "content": []}
        item = _Item(key, data)
        self._items.append(item)
        place = len(self._items) - 1
        events = [self._event("response.output_item.added", output_index=place, item=data)]
        if tool is None:
            where = {"item_id": data["id"], "output_index": place, "content_index": 0}
            events.append(self._event("response.content_part.added", **where, part=item.part()))
        return events

    def _close_item(self, status: str = "completed") -> list[bytes]:
        if not self._items or self._items[-1].data["status"] != "in_progress":
            return []
        item, place = self._items[-1], len(self._items) - 1
        where: dict[str, Any] = {"item_id": item.data["id"], "output_index": place}
        if item.key == "message":
            where["content_index"] = 0
            logprobs = _stream_logprobs(item.logprobs)
            events = [self._event("response.output_text.done", **where, text=item.text, logprobs=logprobs)]
            events.append(self._event("response.content_part.done", **where, part=item.part()))
        elif item.key == "reasoning":
            where["content_index"] = 0
            events = [self._event("response.reasoning_text.done", **where, text=item.text)]
            events.append(self._event("response.content_part.done", **where, part=item.part()))
        else:
            done = {"arguments": item.text, "name": item.data["name"]}
            events = [self._event("response.function_call_arguments.done", **where, **done)]
        data = item.finish(status)
        return [*events, self._event("response.output_item.done", output_index=place, item=data)]

    def _delta(self, key: str, text: str, tool: ToolPiece | None, logprobs: tuple[TokenLogprob, ...]) -> list[bytes]:
        events: list[bytes] = []
        if not self._items or self._items[-1].key != key:
            events += self._close_item() + self._open_item(key, tool)
        item = self._items[-1]
        item.text += text
        item.logprobs += logprobs
        where: dict[str, Any] = {"item_id": item.data["id"], "output_index": len(self._items) - 1}
        if not text:
            return events
        if tool is not None:
            return [*events, self._event("response.function_call_arguments.delta", **where, delta=text)]
        where |= {"content_index": 0, "delta": text}
        if key == "reasoning":
            return [*events, self._event("response.reasoning_text.delta", **where)]
        return [*events, self._event("response.output_text.delta", **where, logprobs=_stream_logprobs(logprobs))]

    def event(self, piece: Piece) -> list[bytes]:
        """The events of a piece; items open with their first piece and close with the next item or the end."""
        events: list[bytes] = []
        if piece.reasoning:
            events += self._delta("reasoning", piece.reasoning, None, ())
        if piece.text:
            events += self._delta("message", piece.text, None, piece.logprobs or ())
        if piece.tool is not None:
            events += self._delta(f"call{piece.tool.call}", piece.tool.arguments, piece.tool, ())
        self._finish = piece.finish or self._finish
        return events

    def closing(self, usage: Usage) -> list[bytes]:
        """Ends the open item, then the whole response."""
        status = "incomplete" if self._finish == "length" else "completed"
        events = [] if self._items else self._open_item("message", None)
        events += self._close_item(status)
        return [*events, self._event(f"response.{status}", response=self._response(status, usage))]

    def whole(self, pieces: Iterable[Piece], usage: Usage) -> bytes:
        """A `response`."""
        for piece in pieces:
            self.event(piece)
        self.closing(usage)
        status = "incomplete" if self._finish == "length" else "completed"
        return orjson.dumps(self._response(status, usage))
