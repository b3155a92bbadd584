"""The queue between a backend's stream and the caller: events wait only while their text may still become forbidden.

Events leave in the order in which they came, and with their own bytes unless something in them was repaired. An event
waits as a whole while that keeps no more text back than the longest span that the pending text could become; a longer
event is split, and its clear part leaves at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from guardrail.openai_wire.json_path import replace_at
from guardrail.openai_wire.protocol import TextSlot, WireFormat
from guardrail.openai_wire.sse import write_event
from guardrail.streaming.channel import Channel


@dataclass(slots=True)
class HeldSlot:
    """A piece of a channel's text inside a held event, beginning at absolute offset `start`."""

    slot: TextSlot
    channel: Channel
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.slot.text)


@dataclass(slots=True)
class HeldEvent:
    """An event in the queue. `body` is None for comments and the like; `changed` tells that `raw` no longer fits."""

    raw: bytes
    body: Any = None
    slots: list[HeldSlot] = field(default_factory=list)
    name: bytes | None = None
    changed: bool = False

    @property
    def is_clear(self) -> bool:
        return all(held.end <= held.channel.cleared for held in self.slots)


class Holdback:
    """First in, first out; `release` gives the bytes that may leave now."""

    def __init__(self, wire: WireFormat) -> None:
        self._wire = wire
        self._queue: deque[HeldEvent] = deque()
        self.released_text = False
        self.held_bytes = 0

    def push(self, event: HeldEvent) -> None:
        """Append an event."""
        self._queue.append(event)
        self.held_bytes += len(event.raw)

    def release(self) -> Iterator[bytes]:
        """Everything at the head of the queue that is clear."""
        queue = self._queue
        while queue:
            head = queue[0]
            if not head.is_clear:
                yield from self._split(head)
                return
            queue.popleft()
            self.held_bytes -= len(head.raw)
            out = self._write(head)
            if out:
                yield out

    def _write(self, event: HeldEvent) -> bytes:
        body, changed = event.body, event.changed
        emptied = bool(event.slots) and not self._wire.says_more(event.body)
        for held in event.slots:
            channel, text = held.channel, held.slot.text
            out = channel.emit(text, held.start)
            emptied = emptied and not out
            if out and not channel.key.field.startswith("logprobs"):
                self.released_text = True
            if out != text:
                body = replace_at(body, held.slot.path, out)
                changed = True
            if channel.altered and not channel.key.field.startswith("logprobs"):
                body = self._without_token_details(body, channel.key.choice)
                changed = True
        if emptied:
            return b""  # nothing is left of a piece that was cut out: an empty one would tell
        return write_event(body, name=event.name) if changed else event.raw

    def _without_token_details(self, body: Any, choice: int) -> Any:
        # Token details are cleared in place, so the path down to the choices is copied first.
        copy = dict(body)
        if isinstance(copy.get("choices"), list):
            copy["choices"] = [dict(item) for item in copy["choices"]]
        self._wire.clear_token_details(copy, choice)
        return copy

    def _split(self, head: HeldEvent) -> Iterator[bytes]:
        if len(head.slots) != 1 or head.slots[0].channel.altered:
            return
        held = head.slots[0]
        channel = held.channel
        at = channel.cleared - held.start
        waiting = channel.total - held.start
        if at <= 0 or waiting <= channel.pending_limit:
            return
        parts = self._wire.split(head.body, held.slot, at)
        if parts is None:
            return
        text = held.slot.text
        channel.emit(text[:at], held.start)
        self.released_text = True
        head.body, head.changed = parts[1], True
        held.slot = TextSlot(path=held.slot.path, key=held.slot.key, text=text[at:])
        held.start += at
        yield write_event(parts[0], name=head.name)
