"""Whole (non-streamed) answers under inspection: the same channels and repairs as in a stream, all at once.

Where nothing has left yet, a leaking answer can always be begun anew; when it may not be any more (`may_restart` is off),
the sentences that leak are taken out, and the natural answer stands in where nothing else remains.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

from guardrail.decision import Leak, OnLeak
from guardrail.openai_wire.json_path import get_at, replace_at
from guardrail.openai_wire.protocol import TextSlot
from guardrail.streaming.channel import Channel
from guardrail.streaming.guard import GuardPlan, is_answer_text
from retrieval.text.views import sentences


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspected:
    """`body` is the answer to send, `changed` tells whether it differs; `restart`: begin anew instead."""

    body: dict[str, Any]
    changed: bool = False
    restart: bool = False
    natural: bool = False


def inspect_answer(plan: GuardPlan, answer: dict[str, Any], *, prefix: str = "") -> Inspected:
    """Judge a whole answer; `answer` itself is not changed."""
    body = copy.deepcopy(answer)
    changed = plan.wire.hide_treatment(body, plan.original) | plan.rewrite_event(body)
    natural = False
    for slot in plan.wire.answer_slots(answer):
        if not _is_there(body, slot):
            continue  # the natural answer has taken the place of the whole message
        channel = _open(plan, slot)
        leaks = _judge(plan, channel, slot)
        if leaks and plan.repair.on_leak is OnLeak.REWRITE and plan.may_restart:
            return Inspected(body=body, restart=True)
        text = channel.whole()
        if leaks and is_answer_text(slot.key) and not channel.key.structured:
            text = _repaired(plan, slot.text, leaks) or text
        if prefix and is_answer_text(slot.key):
            text = prefix + text if text.strip() else prefix.strip()
        elif leaks and not text.strip():
            natural = changed = True
            plan.wire.with_reply(body, slot.key.choice, plan.repair.natural_answer)
            continue
        if text != slot.text:
            changed = True
            body = replace_at(body, slot.path, text)
            plan.wire.clear_token_details(body, slot.key.choice)
    return Inspected(body=body, changed=changed, natural=natural)


def _is_there(body: dict[str, Any], slot: TextSlot) -> bool:
    try:
        return bool(get_at(body, slot.path) == slot.text)
    except (KeyError, IndexError, TypeError):
        return False


def _open(plan: GuardPlan, slot: TextSlot) -> Channel:
    structured = slot.key.structured or (plan.json_answer and is_answer_text(slot.key))
    return Channel(replace(slot.key, structured=structured), plan.inspector_for(slot.key))


def _judge(plan: GuardPlan, channel: Channel, slot: TextSlot) -> list[Leak]:
    """Push the whole text through; every leak is redacted on the way, so that those behind it are found as well."""
    leaks: list[Leak] = []
    leak = channel.push(slot.text, final=True)
    while leak is not None:
        plan.on_leak(leak, plan.repair.on_leak)
        leaks.append(leak)
        leak = channel.redact(leak, plan.repair.redaction)
    return leaks


def _repaired(plan: GuardPlan, text: str, leaks: list[Leak]) -> str | None:
    """The text repaired as the plan says; None for `redact`, which is done already. Blank where nothing is left."""
    if plan.repair.on_leak is OnLeak.REDACT:
        return None
    if plan.repair.on_leak is OnLeak.STOP:
        return text[: leaks[0].start] or " "
    return _without_sentences(text, leaks) or " "


def _without_sentences(text: str, leaks: list[Leak]) -> str:
    """The text without the sentences that leak."""
    kept = [
        text[start:end]
        for start, end in sentences(text)
        if not any(leak.start < end and leak.end > start for leak in leaks)
    ]
    return " ".join(piece.strip() for piece in kept if piece.strip())
