"""The queue between a backend's stream and the caller: events wait only while their text may still become forbidden.

Events leave in the order in which they came, and with their own bytes unless something in them was repaired. An event
waits as a whole while that keeps no more text back than the longest span that the pending text could become; a longer
event is split, and its clear part leaves at once.

While the queue is `opening`, nothing at all has left: what opens a stream waits for its first text, so that a stream
whose first text leaks can be replaced by another one without a trace.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from guardrail.openai_wire.choices import in_pieces
from guardrail.openai_wire.json_path import get_at, replace_at
from guardrail.openai_wire.protocol import Body, TextSlot, WireFormat
from guardrail.openai_wire.sse import write_event
from guardrail.openai_wire.token_rows import Said
from guardrail.streaming.channel import Channel

_FEW_WORDS = 3
"""So many may stand in one event."""


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
    name: bytes | None = None
    changed: bool = False
    slots: list[HeldSlot] = field(default_factory=list)

    @property
    def is_clear(self) -> bool:
        return all(held.end <= held.channel.cleared for held in self.slots)


class Holdback:
    """First in, first out; `release` gives the bytes that may leave now."""

    def __init__(self, wire: WireFormat, *, opening: bool) -> None:
        self._wire = wire
        self._queue: deque[HeldEvent] = deque()
        self.opening = opening
        self.held_bytes = 0

    def push(self, event: HeldEvent) -> None:
        """Append an event."""
        self._queue.append(event)
        self.held_bytes += len(event.raw)

    def blocking(self) -> Iterator[Channel]:
        """The texts that the head of the queue waits for."""
        for event in self._queue:
            if not event.is_clear:
                yield from (held.channel for held in event.slots if held.end > held.channel.cleared)
                return

    def release(self) -> list[bytes]:
        """Everything at the head of the queue that is clear."""
        queue, out = self._queue, list[bytes]()
        if self.opening and not self._text_may_leave():
            return out
        self.opening = False
        while queue:
            head = queue[0]
            if head.slots and not head.is_clear:
                self._release_part(head, out)
                break
            queue.popleft()
            self.held_bytes -= len(head.raw)
            written = self._write(head)
            if written:
                out.append(written)
        return out

    def _text_may_leave(self) -> bool:
        first = next((event for event in self._queue if event.slots), None)
        return first is not None and (first.is_clear or self._parts(first) is not None)

    def _write(self, event: HeldEvent) -> bytes:
        body, changed = event.body, event.changed
        cut: set[int] = set()
        retold: dict[int, list[Said]] = {}
        doubtful = {held.channel.key.choice for held in event.slots if held.channel.cuts_letters}
        is_empty = bool(event.slots)
        for held in event.slots:
            key, text = held.channel.key, held.slot.text
            out = held.channel.emit(text, held.start)
            if out and not key.is_token_detail:
                is_empty = False
            if out == text:
                continue
            if held.channel.is_repaired(held.start, held.end):
                cut.add(key.choice)
            said = retold.setdefault(key.choice, [])
            if key.is_token_detail:
                said.append((held.slot.path, out))
            else:
                body = replace_at(body, held.slot.path, out)
        if not retold and not doubtful:
            return write_event(body, name=event.name) if changed else event.raw
        if retold and is_empty and not self._wire.says_more(body):
            return b""  # nothing is left of a piece that was cut out: an empty one would tell
        for choice in {*retold, *doubtful}:
            if choice in cut:
                self._wire.clear_token_details(body, choice)
            else:
                self._wire.retell_tokens(body, choice, retold.get(choice, ()))
        return b"".join(write_event(one, name=event.name) for one in self._in_words(event, body))

    def _in_words(self, event: HeldEvent, body: Body) -> list[Body]:
        """An event as several, where words of ours took the place of a piece: a model streams word by word, too."""
        slot, whole = event.slots[0].slot, list[Body]()
        if len(event.slots) != 1 or slot.whole or not slot.key.is_answer:
            return [body]
        pieces = in_pieces(str(get_at(body, slot.path)))
        if len(pieces) <= max(_FEW_WORDS, len(slot.text.split())):
            return [body]
        for place, piece in enumerate(pieces[:-1], 1):
            parts = self._wire.split(body, slot, piece, "".join(pieces[place:]))
            if parts is None:
                break
            whole.append(parts[0])
            body = parts[1]
        return [*whole, body]

    def _parts(self, head: HeldEvent) -> tuple[Body, Body] | None:
        """A long event as two, of which the first may leave; None where it is not long or cannot be split."""
        at = _clear_chars(head)
        if at == 0:
            return None
        slot, held = head.slots[0].slot, head.slots[0]
        return self._wire.split(head.body, slot, held.channel.render(slot.text[:at], held.start), slot.text[at:])

    def _release_part(self, head: HeldEvent, out: list[bytes]) -> None:
        """Let the clear beginning of a long event go."""
        parts = self._parts(head)
        if parts is None:
            return
        held, at = head.slots[0], _clear_chars(head)
        text = held.slot.text
        said = held.channel.emit(text[:at], held.start)
        head.body, head.changed = parts[1], True
        held.slot = held.slot._replace(text=text[at:])
        held.start += at
        if said or self._wire.says_more(parts[0]):
            out.append(write_event(parts[0], name=head.name))


def _clear_chars(event: HeldEvent) -> int:
    """How much of a held event may leave by itself; 0 while the whole is not too long to wait."""
    if len(event.slots) != 1 or event.slots[0].slot.whole:
        return 0
    held = event.slots[0]
    at, waiting = held.channel.cleared - held.start, held.channel.total - held.start
    if waiting <= held.channel.pending_limit or not 0 < at < len(held.slot.text):
        return 0
    # The space before a word is not worth an event of its own.
    return at if any(map(str.isalnum, held.slot.text[:at])) else 0
