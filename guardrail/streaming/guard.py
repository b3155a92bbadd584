"""The stream guard: backend events in, bytes for the caller out, nothing forbidden in between.

It follows every text of every choice in a channel of its own, repairs leaks as the plan says, and tells when the answer
must be begun anew (`restart`) or is complete before the backend is (`finished`). It does no I/O.

Repairs of a leak in a stream: `redact` replaces the span; `stop` ends the choice before it; `rewrite` asks for a restart
while nothing has left yet, and otherwise stops. JSON text is always redacted: half of it would be of no use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from guardrail.decision import Leak, OnLeak, Repair
from guardrail.errors import BackendError
from guardrail.inspectors.jury import Jury
from guardrail.openai_wire.choices import event_like, usage, wanted
from guardrail.openai_wire.protocol import Body, ChannelKey, TextSlot, count_tokens
from guardrail.openai_wire.sse import SseEvent, write_event
from guardrail.streaming.channel import Channel
from guardrail.streaming.guard_plan import GuardPlan
from guardrail.streaming.holdback import HeldEvent, HeldSlot, Holdback

_SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？", "\n")


class _Repeat(NamedTuple):
    """A repeated text that waits until the verdict on its pieces is out."""

    text: str
    fresh: Channel
    streamed: Channel


class StreamGuard:
    """One answer's guard. `push` every event, then `end`; while `awaits_verdict`, let the jury deliberate and `settle`
    before the next."""

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
        self._judged: list[Channel] = []  # whole texts that wait for a verdict
        self._repeats: list[_Repeat] = []
        self.restart = False
        self.finished = False
        self.replaced = False

    @property
    def template(self) -> Body | None:
        """The first event of the backend's stream."""
        return self._template

    @property
    def held_bytes(self) -> int:
        """Bytes that wait."""
        return self._holdback.held_bytes

    @property
    def jury(self) -> Jury | None:
        """Where statements of this answer wait for a verdict, if they do."""
        return self._plan.jury

    @property
    def awaits_verdict(self) -> bool:
        """True while text waits for the jury."""
        return self.jury is not None and self.jury.is_waiting and not self.restart

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

    def settle(self) -> list[bytes]:
        """Verdicts are out: repair what is condemned; gives the bytes that may leave."""
        for channel in [*self._channels.values(), *self._judged]:
            if channel.awaits_verdict and not self.restart:
                self._repair(channel, channel.reconsider())
        self._judged = [channel for channel in self._judged if channel.awaits_verdict]
        repeats, self._repeats = self._repeats, []
        for repeat in repeats:
            if not self.restart:
                self._repeat(repeat)
        self._open()
        return [] if self.restart else self._holdback.release()

    def closing_events(self) -> list[Body]:
        """For an answer that ended before the backend did: the usage chunk, if the caller asked for one."""
        if not self._plan.wants_usage or self._template is None or self._is_over:
            return []
        said = [channel for key, channel in self._channels.items() if not key.is_token_detail]
        text = sum(count_tokens(channel.whole()) for channel in said)
        told = usage(self._plan.counted_prompt, text)
        return [event_like(self._template, "chat.completion.chunk", [], told)]

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
        if channel is not None and self._plan.is_mistaken(channel, slot.key, slot.text):
            channel.push("", final=True)
            channel = None
        if channel is None:
            channel = self._channels[slot.key] = self._plan.open_channel(slot.key, self._prefix, slot.text)
            if self.jury is not None:
                self._end_statements(channel)
        held.slots.append(HeldSlot(slot, channel, channel.total))
        leak = channel.push(slot.text)
        if leak is not None:
            self._repair(channel, leak)
        elif channel.stop is not None and channel.key.is_answer:
            self._end_at_stop(channel)
        elif channel.cleared - channel.released > self._plan.patience_chars and channel.waits:
            self._hurry(channel)

    def _end_at_stop(self, channel: Channel) -> None:
        """The caller's stop string has come: the choice ends before it, once what stands there is decided."""
        self._repair(channel, channel.push("", final=True))
        stop = channel.stop
        if stop is not None and not self.restart and not channel.awaits_verdict:
            channel.close(stop.start, stop.replacement)
            self._end_choice(channel.key.choice)

    def _hurry(self, waiting: Channel) -> None:
        for channel in list(self._holdback.blocking()):
            if channel is not waiting and not self.restart:
                self._repair(channel, channel.hurry())

    def _end_statements(self, begun: Channel) -> None:
        """Who begins to answer has ended his thoughts: their last statement need not wait for more."""
        for key, channel in list(self._channels.items()):
            is_beside = key.is_token_detail or begun.key.is_token_detail or channel is begun
            if key.choice == begun.key.choice and not is_beside:
                self._repair(channel, channel.hurry())

    def _check_whole(self, held: HeldEvent, slot: TextSlot, channel: Channel | None) -> None:
        """A repeated text leaves as its pieces did; one that was never streamed is judged as a whole."""
        fresh = self._plan.open_channel(slot.key, self._prefix)
        held.slots.append(HeldSlot(slot, fresh, 0))
        if channel is None or not channel.total:
            self._judge_whole(fresh, slot.text)
            return
        self._repair(channel, channel.push("", final=True))
        if not self.restart:
            self._repeat(_Repeat(slot.text, fresh, channel))

    def _repeat(self, repeat: _Repeat) -> None:
        text, fresh, streamed = repeat
        if streamed.awaits_verdict:
            self._repeats.append(repeat)
            return
        fresh.prefix = ""
        if streamed.altered or streamed.whole() == text:
            fresh.close(0, streamed.whole())
        self._judge_whole(fresh, text)

    def _judge_whole(self, channel: Channel, text: str) -> None:
        self._repair(channel, channel.push(text, final=True))
        if channel.awaits_verdict:
            self._judged.append(channel)

    def _finish(self) -> None:
        """Nothing can be begun anew or wait any more."""
        self._is_over = True
        self._finish_texts(None)
        self._open()

    def _open(self) -> None:
        """What opens the stream may leave once the answer is over and nothing of it is undecided."""
        if self._is_over and not self.restart and not self.awaits_verdict:
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
