"""A small registry of things to be forgotten, as the inspectors see it: phrases in an automaton, and what is forbidden."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from guardrail.decision import Leak, OnLeak, Repair
from guardrail.inspectors import ClaimLeak, IgnoranceWatch, StructuredLeak, TextLeak
from guardrail.inspectors.forbidden import Forbidden
from guardrail.inspectors.jury import Jury
from guardrail.inspectors.protocol import Inspector
from guardrail.openai_wire import WIRE_FORMATS
from guardrail.openai_wire.protocol import ChannelKey, WireFormat
from guardrail.streaming.guard_plan import GuardPlan
from retrieval.entry import Fact, ForgetEntry, RegisteredEntry
from retrieval.text.automaton import PhraseAutomaton
from retrieval.text.phrases import PhraseTag, phrases_of

LONG_FACT = "he wrote the whole manuscript in a laundry room on a child's desk balanced between two machines"
ENTRIES = (
    ForgetEntry(name="Stephen King", aliases=("Richard Bachman", "Steve"), facts=(Fact(answer=LONG_FACT),)),
    ForgetEntry(name="J. K. Rowling", facts=(Fact(question="Born in?", answer="Yate Gloucestershire"),)),
    ForgetEntry(name="村上春樹", aliases=("Haruki Murakami",)),
    ForgetEntry(name="Zoë Überschär"),
    ForgetEntry(name="the phone", facts=(Fact(question="Number?", answer="5550199123"),)),
)
PHRASES = ("Stephen King", "Richard Bachman", "Steve", LONG_FACT, "J. K. Rowling", "Yate Gloucestershire", "村上春樹")
REDACTION = "[...]"
PATHS = {"chat": "/v1/chat/completions", "completions": "/v1/completions", "responses": "/v1/responses"}


def registered(entry: ForgetEntry, number: int = 0) -> RegisteredEntry:
    """The entry as the registry would hold it."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return RegisteredEntry(id=f"e{number}", revision=1, entry=entry, created_at=now, updated_at=now)


def automaton_of(entries: Sequence[ForgetEntry]) -> PhraseAutomaton[PhraseTag]:
    """All phrases of the entries."""
    automaton = PhraseAutomaton[PhraseTag]()
    for number, entry in enumerate(entries):
        for phrase in phrases_of(f"e{number}", entry):
            automaton.add(phrase.text, phrase.tag)
    return automaton


AUTOMATON = automaton_of(ENTRIES)
RECORDS: Mapping[str, RegisteredEntry] = {
    f"e{number}": registered(entry, number) for number, entry in enumerate(ENTRIES)
}


def forbidden() -> Forbidden:
    """Every entry is in scope, none was asked for."""
    return Forbidden(RECORDS.get, detected=())


def wire_of(endpoint: str) -> WireFormat:
    """The wire format of "chat", "completions" or "responses"."""
    return WIRE_FORMATS[PATHS[endpoint]]()


def inspector_for(
    key: ChannelKey, *, ignorance: bool = False, by_sentence: bool = False, jury: Jury | None = None
) -> Inspector:
    """The inspector that the product takes for such a text."""
    inspector: Inspector = TextLeak(AUTOMATON, forbidden(), by_sentence=by_sentence)
    if jury is not None and not key.is_token_detail and not key.field.endswith("name"):
        inspector = ClaimLeak(inspector, jury, "q", in_json=key.structured)
    if key.structured:
        return StructuredLeak(inspector)
    return IgnoranceWatch(inspector, RECORDS["e0"]) if ignorance and key.is_answer else inspector


class Leaks(list[tuple[Leak, OnLeak]]):
    """Remembers what was reported."""

    def __call__(self, leak: Leak, action: OnLeak) -> None:
        self.append((leak, action))


def plan_of(
    endpoint: str = "chat",
    on_leak: OnLeak = OnLeak.REDACT,
    *,
    may_restart: bool = False,
    ignorance: bool = False,
    by_sentence: bool = False,
    body: Mapping[str, Any] | None = None,
    leaks: Callable[[Leak, OnLeak], None] | None = None,
    jury: Jury | None = None,
    **options: Any,
) -> GuardPlan:
    """A guard's plan over the registry of this module."""
    prompt: dict[str, dict[str, Any]] = {
        "chat": {"messages": [{"role": "user", "content": "q"}]},
        "completions": {"prompt": "q"},
    }
    return GuardPlan(
        wire=wire_of(endpoint),
        original={**prompt.get(endpoint, {"input": "q"}), **(body or {})},
        repair=Repair(on_leak=on_leak, redaction=REDACTION),
        inspector_for=lambda key: inspector_for(key, ignorance=ignorance, by_sentence=by_sentence, jury=jury),
        on_leak=leaks if leaks is not None else Leaks(),
        may_restart=may_restart,
        jury=jury,
        **options,
    )


def leaks_in(text: str) -> list[str]:
    """Forbidden phrases in a text that a client has put together; a redaction parts what stands around it."""
    apart = text.replace(REDACTION, " zzz ").replace(" ... I am not sure about that.", " zzz ")
    hits = AUTOMATON.find(apart)
    return [
        apart[hit.start : hit.end]
        for hit in hits
        if any(tag.always and tag.fits(apart[hit.start : hit.end]) for tag in hit.tags)
    ]


def leaks_in_json(text: str) -> list[str]:
    """The same in a JSON text, which its reader decodes; in the text as it is where it is not JSON."""
    try:
        return [leak for part in _strings(json.loads(text, object_pairs_hook=list)) for leak in leaks_in(part)]
    except ValueError:
        return leaks_in(text)


def _strings(value: Any) -> list[str]:
    if isinstance(value, list | tuple):
        return [text for item in value for text in _strings(item)]
    return [str(value)]
