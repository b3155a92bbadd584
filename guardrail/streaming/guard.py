"""The stream guard: backend events in, bytes for the caller out, nothing forbidden in between.

It follows every text of every choice in a channel of its own, repairs leaks as the plan says, and tells when the answer
must be begun anew (`restart`) or is complete before the backend is (`finished`). It does no I/O.

Repairs of a leak in a stream: `redact` replaces the span; `stop` ends the choice before it; `rewrite` asks for a restart
while nothing has left yet, and otherwise stops. JSON text is always redacted: half of it would be of no use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from guardrail.decision import Leak, OnLeak, Repair
from guardrail.errors import BackendError
from guardrail.inspectors.protocol import Inspector
from guardrail.openai_wire.choices import envelope, usage
from guardrail.openai_wire.protocol import Body, ChannelKey, TextSlot, WireFormat, count_tokens
from guardrail.openai_wire.sse import SseEvent, write_event
from guardrail.streaming.channel import Channel
from guardrail.streaming.holdback import HeldEvent, HeldSlot, Holdback


def _nothing(body: dict[str, Any]) -> bool:
    """Leaves an event as it is."""
    del body
    return False


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """id and created of a stream that has begun, to be kept by the one that replaces it."""

    fields: dict[str, Any]
    role_sent: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardPlan:
    """What a guard needs to know of a request.

    `json_answer`: the caller asked for JSON, so repairs keep the answer JSON. `rewrite_event` changes an event or answer
    in place (usage, the public model name) and says whether it did.
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


class StreamGuard:
    """One answer's guard. `push` every event, then `end`."""

    def __init__(self, plan: GuardPlan, *, identity: Identity | None = None, prefix: str = "") -> None:
        self._plan = plan
        self._wire = plan.wire
        self._identity = identity
        self._prefix = prefix
        self._holdback = Holdback(plan.wire)
        self._channels: dict[ChannelKey, Channel] = {}
        self._closed: set[int] = set()
        self._template: Body | None = None
        self.restart = False
        self.finished = False
        self.replaced = False

    @property
    def held_bytes(self) -> int:
        """Bytes that wait."""
        return self._holdback.held_bytes

    @property
    def template(self) -> Body:
        """An event of this stream, for the ids of synthetic ones."""
        return self._template or {}

    def identity(self) -> Identity:
        """What a replacing stream must keep."""
        template = self._template or {}
        kept = {key: template[key] for key in ("id", "created", "system_fingerprint") if key in template}
        return Identity(fields=kept, role_sent=self._template is not None)

    def push(self, event: SseEvent) -> list[bytes]:
        """Take one event; gives the bytes that may leave. Raises `BackendError` on data that cannot be read."""
        if event.data is None:
            self._holdback.push(HeldEvent(raw=event.raw))
        elif event.data == b"[DONE]":
            self._finish_texts(None)
            self._holdback.push(HeldEvent(raw=event.raw))
        else:
            self._take(event, _decoded(event.data))
        return [] if self.restart else list(self._holdback.release())

    def closing_events(self) -> list[Body]:
        """For an answer that ended before the backend did: the usage chunk, if the caller asked for one."""
        if not self._plan.wants_usage or self._template is None:
            return []
        text = sum(count_tokens(channel.whole()) for channel in self._channels.values())
        prompt = sum(count_tokens(passage.text) for passage in self._wire.passages(self._plan.original))
        return [{**envelope(self._template, "chat.completion.chunk"), "choices": [], "usage": usage(prompt, text)}]

    def end(self) -> list[bytes]:
        """The backend's stream is over: everything that waits is decided."""
        self._finish_texts(None)
        return [] if self.restart else list(self._holdback.release())

    def _take(self, event: SseEvent, body: dict[str, Any]) -> None:
        changed = self._wire.hide_treatment(body, self._plan.original) | self._plan.rewrite_event(body)
        changed |= self._keep_identity(body)
        held = HeldEvent(raw=event.raw, body=body, name=event.name, changed=changed)
        if self._closed and not self._strip_closed(held):
            return
        self._template = self._template or body
        slots = self._wire.event_slots(body)
        self._holdback.push(held)
        for slot in slots:
            self._follow(held, slot)
            if self.restart:
                return
        ends = self._wire.ends(body)
        if ends is None or ends:
            self._finish_texts(ends)

    def _follow(self, held: HeldEvent, slot: TextSlot) -> None:
        channel = self._channels.get(slot.key)
        if slot.whole:
            self._check_whole(held, slot, channel)
            return
        if channel is None:
            channel = self._channels[slot.key] = self._open(slot.key)
        held.slots.append(HeldSlot(slot, channel, channel.total))
        self._repair(channel, channel.push(slot.text))

    def _open(self, key: ChannelKey) -> Channel:
        if is_answer_text(key) and self._plan.json_answer:
            key = replace(key, structured=True)
        prefix = self._prefix if is_answer_text(key) else ""
        return Channel(key, self._plan.inspector_for(key), prefix=prefix)

    def _check_whole(self, held: HeldEvent, slot: TextSlot, channel: Channel | None) -> None:
        """A repeated text leaves as its pieces did; one that was never streamed is judged as a whole."""
        fresh = self._open(slot.key)
        if channel is not None and channel.total:
            self._repair(channel, channel.push("", final=True))
            if channel.altered:
                fresh.prefix = ""
                fresh.close(0, channel.whole())
        if not fresh.closed and fresh.push(slot.text, final=True) is not None:
            fresh.close(0, self._plan.repair.natural_answer if is_answer_text(slot.key) else "")
        held.slots.append(HeldSlot(slot, fresh, 0))

    def _finish_texts(self, choices: Any) -> None:
        for key, channel in list(self._channels.items()):
            if choices is None or key.choice in choices:
                self._repair(channel, channel.push("", final=True))
                if self.restart:
                    return

    def _repair(self, channel: Channel, leak: Leak | None) -> None:
        repair = self._plan.repair
        while leak is not None:
            action = self._action(channel)
            self._plan.on_leak(leak, action)
            if action is OnLeak.REWRITE:
                self.restart = True
                return
            if action is OnLeak.STOP:
                self._stop(channel, leak)
                return
            leak = channel.redact(leak, repair.redaction)

    def _action(self, channel: Channel) -> OnLeak:
        wanted = self._plan.repair.on_leak
        if wanted is OnLeak.REWRITE and self._plan.may_restart and not self._holdback.released_text:
            return OnLeak.REWRITE
        if channel.key.structured or channel.key.field.startswith("logprobs"):
            return OnLeak.REDACT
        return OnLeak.REDACT if wanted is OnLeak.REDACT else OnLeak.STOP

    def _stop(self, leaking: Channel, leak: Leak) -> None:
        """End the leaking choice: its texts stop where they are cleared, the natural words take the leak's place."""
        if not is_answer_text(leaking.key):
            leaking.close(leak.start, "")  # reasoning and the like are cut; the answer itself goes on
            return
        choice, repair = leaking.key.choice, self._plan.repair
        start = 0 if leaking.released == 0 else max(leak.start, leaking.released)
        words = repair.closing_words if start else "" if leaking.prefix else repair.natural_answer
        leaking.close(start, words)
        self.replaced = self.replaced or start == 0
        for channel in self._channels.values():
            if channel.key.choice == choice and not channel.closed:
                channel.close(max(channel.cleared, channel.released), "")
        ending = self._wire.finish_events(self._template or {}, choice)
        if ending is None:
            return
        self._closed.add(choice)
        for body in ending:
            self._holdback.push(HeldEvent(raw=write_event(body)))
        self.finished = len(self._closed) >= self._expected()

    def _expected(self) -> int:
        n = self._plan.original.get("n")
        prompts = self._plan.original.get("prompt")
        return (n if isinstance(n, int) else 1) * (len(prompts) if isinstance(prompts, list) else 1)

    def _strip_closed(self, held: HeldEvent) -> bool:
        """Drop closed choices from an event; False if nothing of it is left."""
        choices = held.body.get("choices")
        if not choices:
            return True
        kept = [one for place, one in enumerate(choices) if one.get("index", place) not in self._closed]
        if len(kept) != len(choices):
            held.body = {**held.body, "choices": kept}
            held.changed = True
        return bool(kept)

    def _keep_identity(self, body: dict[str, Any]) -> bool:
        if self._identity is None:
            return False
        body.update({key: value for key, value in self._identity.fields.items() if key in body})
        if self._identity.role_sent:
            for choice in body.get("choices") or ():
                (choice.get("delta") or {}).pop("role", None)
        return True


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        # Text that cannot be read cannot be inspected: fail closed.
        raise BackendError(
            "The backend sent a stream event that is not a JSON object.",
            status=502,
            type="server_error",
            code="backend_unreadable",
        )
    return body


def is_answer_text(key: ChannelKey) -> bool:
    """True for the text that the caller reads as the answer, as against reasoning, tool calls and token details."""
    return key.field in ("content", "text")
