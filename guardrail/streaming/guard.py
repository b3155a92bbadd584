"""The stream guard: backend events in, bytes for the caller out, nothing forbidden in between.

It follows every text of every choice in a channel of its own, repairs leaks as the plan says, and tells when the answer
must be begun anew (`restart`) or is complete before the backend is (`finished`). It does no I/O.

Repairs of a leak in a stream: `redact` replaces the span; `stop` ends the choice before it; `rewrite` asks for a restart
while nothing has left yet, and otherwise stops. JSON text is always redacted: half of it would be of no use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from guardrail.decision import Leak, OnLeak, Repair
from guardrail.errors import BackendError
from guardrail.inspectors.protocol import Inspector
from guardrail.openai_wire.choices import envelope, usage, wanted
from guardrail.openai_wire.protocol import Body, ChannelKey, TextSlot, WireFormat, count_tokens
from guardrail.openai_wire.sse import SseEvent, write_event
from guardrail.streaming.channel import Channel
from guardrail.streaming.holdback import HeldEvent, HeldSlot, Holdback

_SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？", "\n")


def _nothing(body: dict[str, Any]) -> bool:
    """Leaves an event as it is."""
    del body
    return False


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardPlan:
    """What a guard needs to know of a request.

    `json_answer`: the caller asked for JSON, so repairs keep the answer JSON. `rewrite_event` changes an event or answer
    in place (usage, the public model name) and says whether it did. `patience_chars`: most clear text of one channel
    that waits behind another channel's undecided text.
    """

    wire: WireFormat
    original: Body
    repair: Repair
    inspector_for: Callable[[ChannelKey], Inspector]
    on_leak: Callable[[Leak, OnLeak], None]
    may_restart: bool
    json_answer: bool = False
    wants_usage: bool = False
    rewrite_event: Callable[[dict[str, Any]], bool] = field(default=_nothing)
    patience_chars: int = 512

    def open_channel(self, key: ChannelKey, prefix: str = "") -> Channel:
        """A channel for a text that begins. `prefix` stands before an answer in words, not before JSON."""
        if self.json_answer and key.is_answer:
            key = key._replace(structured=True)
        return Channel(key, self.inspector_for(key), prefix=prefix if key.is_answer and not key.structured else "")

    def repair_of(self, key: ChannelKey) -> OnLeak:
        """What is done about a leak in a text that cannot be begun anew."""
        if key.structured or key.is_token_detail:
            return OnLeak.REDACT
        return OnLeak.REDACT if self.repair.on_leak is OnLeak.REDACT else OnLeak.STOP


class StreamGuard:
    """One answer's guard. `push` every event, then `end`."""

    def __init__(self, plan: GuardPlan, *, prefix: str = "") -> None:
        self._plan = plan
        self._wire = plan.wire
        self._prefix = prefix
        self._holdback = Holdback(plan.wire, opening=plan.may_restart and plan.repair.on_leak is OnLeak.REWRITE)
        self._channels: dict[ChannelKey, Channel] = {}
        self._closed: set[int] = set()  # choices that were ended here
        self._ended: set[int] = set()  # choices that the backend ended
        self._is_over = False  # the usage chunk, a closing event or `[DONE]` has come
        self._template: Body | None = None
        self.restart = False
        self.finished = False
        self.replaced = False

    @property
    def held_bytes(self) -> int:
        """Bytes that wait."""
        return self._holdback.held_bytes

    def push(self, event: SseEvent) -> list[bytes]:
        """Take one event; gives the bytes that may leave. Raises `BackendError` on data that cannot be read."""
        if event.data is None:
            self._holdback.push(HeldEvent(event.raw))
        elif event.is_done:
            self._finish()
            self._holdback.push(HeldEvent(event.raw))
        else:
            body = _decoded(event.data)
            try:
                self._take(event, body)
            except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
                raise unreadable("a stream event of an unknown shape") from error
        return [] if self.restart else self._holdback.release()

    def end(self) -> list[bytes]:
        """The backend's stream is over: everything that waits is decided."""
        self._finish()
        return [] if self.restart else self._holdback.release()

    def closing_events(self) -> list[Body]:
        """For an answer that ended before the backend did: the usage chunk, if the caller asked for one."""
        if not self._plan.wants_usage or self._template is None or self._is_over:
            return []
        said = [channel for key, channel in self._channels.items() if not key.is_token_detail]
        text = sum(count_tokens(channel.whole()) for channel in said)
        prompt = sum(count_tokens(passage.text) for passage in self._wire.passages(self._plan.original))
        return [{**envelope(self._template, "chat.completion.chunk"), "choices": [], "usage": usage(prompt, text)}]

    def _take(self, event: SseEvent, body: dict[str, Any]) -> None:
        wire = self._wire
        changed = wire.hide_treatment(body, self._plan.original) | self._plan.rewrite_event(body)
        if self._closed and (open_choices := self._open_choices(body)) is not body.get("choices"):
            if not open_choices:
                return
            body["choices"], changed = open_choices, True
        if self._template is None:
            self._template = body
        slots, ends = wire.event_slots(body), wire.ends(body)
        if ends:
            self._ended.update(ends)
            if self._prefix:
                self._say_prefix(ends, slots)
        if ends is None and not slots:
            self._finish()
        held = HeldEvent(event.raw, body, event.name, changed)
        self._holdback.push(held)
        for slot in slots:
            if self.restart:
                return
            self._follow(held, slot)
        if ends is None:
            self._finish()
        elif ends:
            self._finish_texts(ends)

    def _follow(self, held: HeldEvent, slot: TextSlot) -> None:
        channel = self._channels.get(slot.key)
        if slot.whole:
            self._check_whole(held, slot, channel)
            return
        if channel is None:
            channel = self._channels[slot.key] = self._plan.open_channel(slot.key, self._prefix)
        held.slots.append(HeldSlot(slot, channel, channel.total))
        leak = channel.push(slot.text)
        if leak is not None:
            self._repair(channel, leak)
        elif channel.cleared - channel.released > self._plan.patience_chars and channel.waits:
            self._hurry(channel)

    def _hurry(self, waiting: Channel) -> None:
        for channel in list(self._holdback.blocking()):
            if channel is not waiting and not self.restart:
                self._repair(channel, channel.hurry())

    def _check_whole(self, held: HeldEvent, slot: TextSlot, channel: Channel | None) -> None:
        """A repeated text leaves as its pieces did; one that was never streamed is judged as a whole."""
        fresh = self._plan.open_channel(slot.key, self._prefix)
        held.slots.append(HeldSlot(slot, fresh, 0))
        if channel is not None and channel.total:
            self._repair(channel, channel.push("", final=True))
            fresh.prefix = ""
            if channel.altered:
                fresh.close(0, channel.whole())
        if not self.restart:
            self._repair(fresh, fresh.push(slot.text, final=True))

    def _finish(self) -> None:
        """Nothing can be begun anew or wait any more."""
        self._is_over = True
        self._finish_texts(None)
        if not self.restart:
            self._holdback.opening = False

    def _finish_texts(self, choices: Sequence[int] | None) -> None:
        for key, channel in list(self._channels.items()):
            if (choices is None or key.choice in choices) and not self.restart:
                self._repair(channel, channel.push("", final=True))

    def _repair(self, channel: Channel, leak: Leak | None) -> None:
        while leak is not None:
            action = OnLeak.REWRITE if self._holdback.opening else self._plan.repair_of(channel.key)
            self._plan.on_leak(leak, action)
            if action is OnLeak.REWRITE:
                self.restart = True
                return
            if action is OnLeak.STOP:
                self._stop(channel, leak)
                return
            leak = channel.redact(leak, self._plan.repair.redaction)

    def _stop(self, leaking: Channel, leak: Leak) -> None:
        """End the leaking choice: its texts stop where they are cleared, the natural words take the leak's place."""
        start = max(min(leak.start, leaking.cleared), leaking.released)
        if not leaking.key.is_answer:
            leaking.close(start, "")  # reasoning and the like are cut; the answer itself goes on
            return
        if leaking.released == 0:
            self.replaced = True
            leaking.prefix = leaking.prefix.rstrip()
            leaking.close(0, "" if leaking.prefix else self._plan.repair.natural_answer)
        else:
            leaking.close(start, closing_words(self._plan.repair, leaking.before(start)))
        self._end_choice(leaking.key.choice)

    def _end_choice(self, choice: int) -> None:
        for channel in self._channels.values():
            if channel.key.choice == choice and not channel.closed:
                channel.close(max(channel.cleared, channel.released), "")
        ending = self._wire.finish_events(self._template or {}, choice)
        if ending is None or choice in self._ended:
            return
        self._closed.add(choice)
        for body in ending:
            self._holdback.push(HeldEvent(write_event(body)))
        self.finished = not self._is_over and len(self._closed | self._ended) >= self._expected()

    def _expected(self) -> int:
        prompts = self._plan.original.get("prompt")
        return wanted(self._plan.original) * (len(prompts) if isinstance(prompts, list) else 1)

    def _open_choices(self, body: Body) -> Any:
        """The event's choices without those that were ended here; its own list where none is among them."""
        found = body.get("choices")
        if not found:
            return found
        kept = [choice for place, choice in enumerate(found) if choice.get("index", place) not in self._closed]
        return found if len(kept) == len(found) else kept

    def _say_prefix(self, ends: Sequence[int], slots: Sequence[TextSlot]) -> None:
        """A choice that ends without a word of its own says what stands before its answer."""
        keys = [*self._channels, *(slot.key for slot in slots)]
        for choice in ends:
            spoke = any(key.choice == choice and (key.is_answer or key.field.startswith("tool")) for key in keys)
            event = self._wire.text_event(self._template or {}, choice, self._prefix.strip())
            if not spoke and not self._plan.json_answer and event is not None:
                self._holdback.push(HeldEvent(write_event(event)))


def closing_words(repair: Repair, before: str) -> str:
    """What ends an answer that is stopped behind `before`: nothing where a sentence has just ended."""
    if before.rstrip(" \"'”’)*_").endswith(_SENTENCE_ENDS):
        return ""
    return repair.closing_words.lstrip() if before[-1:].isspace() else repair.closing_words


def unreadable(what: str) -> BackendError:
    """502: text that cannot be read cannot be inspected, so it does not leave."""
    return BackendError(f"The backend sent {what}.", status=502, type="server_error", code="backend_unreadable")


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise unreadable("a stream event that is not a JSON object")
    return body
