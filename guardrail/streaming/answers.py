"""Whole (non-streamed) answers under inspection: the same channels and repairs as in a stream, all at once.

Where nothing has left yet, a leaking answer can always be begun anew; when it may not be any more (`may_restart` is off),
the sentences that leak are taken out, and the natural answer stands in where nothing else remains. Where statements are
judged, the answer is read twice: `hear` first, so that the inspection itself need not wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guardrail.decision import Leak, OnLeak
from guardrail.openai_wire.json_path import get_at, replace_at
from guardrail.openai_wire.protocol import ChannelKey, TextSlot
from guardrail.openai_wire.token_rows import Said
from guardrail.streaming.channel import Channel
from guardrail.streaming.guard import closing_words, unreadable
from guardrail.streaming.guard_plan import GuardPlan
from guardrail.treatments.names.stop_strings import end_by_stop
from retrieval.text.views import sentences

_ODD_SHAPE = (AttributeError, LookupError, RecursionError, TypeError, ValueError)


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspected:
    """`body` is the answer to send, `changed` tells whether it differs; `restart`: begin anew instead."""

    body: dict[str, Any]
    changed: bool = False
    restart: bool = False
    natural: bool = False


@dataclass(slots=True)
class _Text:
    """One text of an answer: its slots in order (one, but for token details) and the channel that judges it."""

    channel: Channel
    slots: list[TextSlot]
    leaks: list[Leak]

    @property
    def key(self) -> ChannelKey:
        return self.channel.key

    @property
    def whole(self) -> str:
        return "".join(slot.text for slot in self.slots)


async def hear(plan: GuardPlan, answer: dict[str, Any]) -> None:
    """Let the jury judge the statements of an answer, so that `inspect_answer` finds its verdicts."""
    try:
        texts = [(text.channel, text.whole) for text in _texts(plan, plan.wire.answer_slots(answer))]
    except _ODD_SHAPE as error:
        raise unreadable("an answer of an unknown shape") from error
    await find_leaks(plan, texts)


async def find_leaks(plan: GuardPlan, texts: Sequence[tuple[Channel, str]]) -> list[Leak]:
    """Every leak of these texts, with the jury's word on their statements where the plan has a jury."""
    found: list[Leak] = []

    def take(channel: Channel, leak: Leak | None) -> None:
        while leak is not None:
            found.append(leak)
            leak = channel.redact(leak, plan.repair.redaction)

    for channel, text in texts:
        take(channel, channel.push(text, final=True))
    while plan.jury is not None and plan.jury.is_waiting:
        await plan.jury.deliberate()
        for channel, _ in texts:
            take(channel, channel.reconsider())
    return found


def inspect_answer(plan: GuardPlan, answer: dict[str, Any], *, prefix: str = "") -> Inspected:
    """Judge a whole answer. `answer` is used up: take `body` in its place."""
    try:
        return _inspect(plan, answer, prefix)
    except _ODD_SHAPE as error:
        raise unreadable("an answer of an unknown shape") from error


def _inspect(plan: GuardPlan, body: dict[str, Any], prefix: str) -> Inspected:
    slots = plan.wire.answer_slots(body)
    changed = plan.wire.hide_treatment(body, plan.original) | plan.rewrite_event(body)
    natural = False
    cut: set[int] = set()
    retold: dict[int, list[Said]] = {}
    for text in _texts(plan, slots):
        _judge(plan, text)
        if text.leaks and _may_restart(plan):
            return Inspected(body=body, restart=True)
        if not _is_there(body, text.slots[0]):
            continue  # the natural answer has taken the place of the whole message
        pieces = _pieces(plan, text, prefix)
        if text.leaks and text.key.is_answer and not "".join(pieces).strip():
            natural = changed = True
            cut.add(text.key.choice)
            plan.wire.with_reply(body, text.key.choice, plan.repair.natural_answer)
            continue
        if text.channel.stop is not None and text.key.is_answer:
            end_by_stop(body, text.key.choice)
        for slot, piece in zip(text.slots, pieces, strict=True):
            if piece != slot.text:
                changed = True
                said = retold.setdefault(text.key.choice, [])
                if text.key.is_token_detail:
                    said.append((slot.path, piece))
                else:
                    body = replace_at(body, slot.path, piece)
                if text.leaks:
                    cut.add(text.key.choice)
    _tell_tokens(plan, body, retold, cut)
    if prefix and not plan.json_answer:
        changed |= _say_prefix(plan, body, slots, prefix.strip())
    return Inspected(body=body, changed=changed, natural=natural)


def _tell_tokens(plan: GuardPlan, body: dict[str, Any], retold: Mapping[int, list[Said]], cut: set[int]) -> None:
    """Token details of repaired choices go; those of names that were turned back are told in the caller's words."""
    for choice in cut:
        plan.wire.clear_token_details(body, choice)
    for choice, said in retold.items():
        if choice not in cut:
            plan.wire.retell_tokens(body, choice, said)


def _may_restart(plan: GuardPlan) -> bool:
    return plan.may_restart and plan.repair.on_leak is OnLeak.REWRITE


def _texts(plan: GuardPlan, slots: list[TextSlot]) -> list[_Text]:
    """Slots of one channel make one text, but for those that stand by themselves."""
    found: list[_Text] = []
    open_texts: dict[ChannelKey, _Text] = {}
    for slot in slots:
        text = None if slot.whole else open_texts.get(slot.key)
        if text is None:
            text = open_texts[slot.key] = _Text(plan.open_channel(slot.key, beginning=slot.text), [], [])
            found.append(text)
        text.slots.append(slot)
    return found


def _judge(plan: GuardPlan, text: _Text) -> None:
    """Push the whole text through; every leak is redacted on the way, so that those behind it are found as well."""
    action = OnLeak.REWRITE if _may_restart(plan) else plan.repair_of(text.key)
    leak = text.channel.push(text.whole, final=True)
    while leak is not None:
        plan.on_leak(leak, action)
        text.leaks.append(leak)
        leak = text.channel.redact(leak, plan.repair.redaction)


def _pieces(plan: GuardPlan, text: _Text, prefix: str) -> list[str]:
    """What each slot of a text becomes."""
    if not text.key.is_answer or text.key.structured:
        pieces, start = [], 0
        for slot in text.slots:
            pieces.append(text.channel.render(slot.text, start))
            start += len(slot.text)
        return pieces
    said = _repaired(plan, text) if text.leaks else text.channel.whole()
    if prefix:
        said = prefix + said if said.strip() else prefix.strip()
    return [said]


def _repaired(plan: GuardPlan, text: _Text) -> str:
    """An answer in words, repaired as the plan says. Empty where nothing is left."""
    whole = text.slots[0].text
    if plan.repair.on_leak is OnLeak.REDACT:
        return text.channel.whole()
    if plan.repair.on_leak is OnLeak.STOP:
        before = whole[: text.leaks[0].start]
        said = text.channel.as_written(before, 0)
        return said + closing_words(plan.repair, before) if before.strip() else ""
    kept = _kept_sentences(whole, text.leaks)
    # Sentences that were apart now touch; together they may say what neither said alone.
    again = plan.open_channel(text.slots[0].key, beginning=text.slots[0].text)
    if again.push("".join(whole[start:end] for start, end in kept).rstrip(), final=True) is not None:
        return ""
    return "".join(text.channel.as_written(whole[start:end], start) for start, end in kept).rstrip()


def _kept_sentences(text: str, leaks: list[Leak]) -> list[tuple[int, int]]:
    """The sentences that do not leak, each with the white space behind it."""
    spans = sentences(text)
    ends = [span.start for span in spans[1:]] + [len(text)]
    return [
        (span.start, end)
        for span, end in zip(spans, ends, strict=True)
        if not any(leak.start < span.end and leak.end > span.start for leak in leaks)
    ]


def _is_there(body: dict[str, Any], slot: TextSlot) -> bool:
    """True while the answer still holds this text."""
    try:
        return slot.key.is_token_detail or bool(get_at(body, slot.path) == slot.text)
    except (KeyError, IndexError, TypeError):
        return False


def _say_prefix(plan: GuardPlan, body: dict[str, Any], slots: list[TextSlot], prefix: str) -> bool:
    """Choices without a word of their own say what stands before their answer. True if there were any."""
    spoken = {slot.key.choice for slot in slots if slot.key.is_answer or slot.key.field.startswith("tool")}
    silent = {choice.get("index", place) for place, choice in enumerate(body.get("choices") or ())} - spoken
    for choice in silent:
        plan.wire.with_reply(body, choice, prefix)
    return bool(silent)
