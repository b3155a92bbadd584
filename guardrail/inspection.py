"""The inspection of one request's answer: which inspector follows which text, and what a leak leads to.

It brings together what detection found, what the treatment expects and what the wire can do, as one `GuardPlan`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

from guardrail.asked import asked_words
from guardrail.backends.router import Route
from guardrail.decision import Admits, Capability, Decision, Leak, OnLeak, Passage, TreatmentPlan
from guardrail.detectors.supplied import is_supplied
from guardrail.inspectors import ClaimLeak, IgnoranceWatch, Inspector, JsonIgnoranceWatch, StructuredLeak, TextLeak
from guardrail.inspectors.forbidden import Forbidden, HandedIn
from guardrail.inspectors.jury import Court, Jury
from guardrail.openai_wire.choices import wanted, wants_usage
from guardrail.openai_wire.picture_parts import holds_pictures, pictures_elsewhere
from guardrail.openai_wire.protocol import Body, ChannelKey, WireFormat
from guardrail.openai_wire.token_rows import hide_alternatives
from guardrail.openai_wire.usage import hide_added, set_prompt
from guardrail.streaming.guard_plan import GuardPlan
from guardrail.treatments.names.stop_strings import told_stops
from retrieval.searcher import Searcher
from retrieval.text.views import normalise

_TEMPLATE_CHARS = 48
"""Characters a message that a chat template adds around the texts, for the share of injected text."""
_MOST_JUDGED_ENTRIES = 4
"""Each statement is judged for each entry, and what is far down the list has hardly ever been meant."""
_JSON_KINDS = ("json", "json_object", "structural_tag")
"""Of vLLM's `structured_outputs`; a choice, a regular expression or a grammar makes words."""
_MOST_CONTENT_CHARS = 20_000
"""Of longer content that is handed in, nobody looks what an answer adds to it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """Everything that stays the same over the attempts at one answer. Without a `court` no statement is judged. While
    it `forbids_pictures`, an answer that brings one ends in an error: nobody looks at pictures here."""

    searcher: Searcher
    wire: WireFormat
    route: Route | None
    body: Body
    passages: Sequence[Passage]
    admits: Admits
    decision: Decision
    on_leak: Callable[[Leak, OnLeak], None]
    court: Court | None = None
    forbids_pictures: Callable[[], bool] = lambda: False

    def guard_plan(
        self, plan: TreatmentPlan, *, injected_chars: int, may_restart: bool, prompt_tokens: int | None = None
    ) -> GuardPlan:
        """The guard's plan for an attempt under `plan`. `prompt_tokens`: what the caller's own prompt counts, if that is
        known; else the injected text's share is taken out."""
        share = self._share(injected_chars)
        jury = self._jury(plan)
        return GuardPlan(
            wire=self.wire,
            original=self.body,
            repair=plan.repair,
            inspector_for=self._inspector_for(plan, jury),
            on_leak=self.on_leak,
            may_restart=may_restart and is_single(self.body),
            json_answer=wants_json(self.body),
            wants_usage=wants_usage(self.body),
            rewrite_event=self._rewriter(plan, share, prompt_tokens),
            jury=jury,
            swaps=plan.swaps,
            prompt_tokens=prompt_tokens,
            kept=self._words() if plan.swaps else frozenset(),
        )

    def _words(self) -> frozenset[str]:
        """The words that the caller wrote."""
        return frozenset(word for passage in self.passages for word in normalise(passage.text).words)

    def with_decision(self, decision: Decision) -> Inspection:
        """The same under another decision."""
        return replace(self, decision=decision)

    def _jury(self, plan: TreatmentPlan) -> Jury | None:
        """A jury for the entries that the answer must not tell of: those met, then the nearest suspects."""
        if self.court is None or self.court.most_statements == 0:
            return None
        met = () if plan.may_speak else self.decision.detections
        handed_in = {detection.entry.id for detection in self.decision.supplied}
        found = dict.fromkeys(one.entry.id for one in (*met, *self.decision.suspects) if one.entry.id not in handed_in)
        content = "\n".join(passage.text for passage in self.passages) if handed_in else ""
        if len(content) > _MOST_CONTENT_CHARS:
            handed_in = set()
        if not found and not handed_in:
            return None
        return Jury(
            self.court,
            entry_ids=list(found)[:_MOST_JUDGED_ENTRIES],
            admits=self.admits,
            allowed_ids=sorted(handed_in)[:_MOST_JUDGED_ENTRIES],
            handed_in=content,
        )

    def _inspector_for(self, plan: TreatmentPlan, jury: Jury | None) -> Callable[[ChannelKey], Inspector]:
        detected = self.decision.detections
        forbids = Forbidden(
            self.admits,
            detected=self.decision.entry_ids,
            handed_in=_handed_in(self.searcher, self.decision, self.passages),
        )
        automaton, by_sentence = self.searcher.automaton, plan.repair.sentence_holdback
        asked = cache(partial(self._asked, plan))

        def choose(key: ChannelKey) -> Inspector:
            inspector: Inspector = TextLeak(automaton, forbids, by_sentence=by_sentence)
            tells = key.structured or _says_what_it_knows(key)
            if not tells:
                return inspector
            if (key.is_answer or not key.structured) and plan.expects_ignorance and self._is_about(key.choice, plan):
                entry = detected[0].entry
                return (
                    JsonIgnoranceWatch(StructuredLeak(inspector), entry)
                    if key.structured
                    else IgnoranceWatch(inspector, entry)
                )
            if jury is not None:
                request = asked(self.wire.passage_of_choice(self.body, key.choice))
                inspector = ClaimLeak(inspector, jury, request, in_json=key.structured)
            return StructuredLeak(inspector) if key.structured else inspector

        return choose

    def _asked(self, plan: TreatmentPlan, number: int | None) -> str:
        """What is asked (of a list of prompts: in that one), without what the treatment has taken out."""
        passages = self.passages if number is None else self.passages[number : number + 1]
        return asked_words(
            [replace(passage, text=plan.replacements.get(passage.path, passage.text)) for passage in passages]
        )

    def _is_about(self, choice: int, plan: TreatmentPlan) -> bool:
        """True if this choice answers a passage that touched the entry (list prompts: perhaps not)."""
        passage = self.wire.passage_of_choice(self.body, choice)
        return passage is None or passage in plan.matched_passages

    def _share(self, injected_chars: int) -> float:
        if injected_chars <= 0:
            return 0.0
        own = sum(len(passage.text) + _TEMPLATE_CHARS for passage in self.passages)
        return injected_chars / (injected_chars + own)

    def _may_compare(self, plan: TreatmentPlan) -> bool:
        """True if alternatives to the tokens may be told: those of a backend that gives them as they were before the plan's
        changes would show what is kept from being written."""
        if self.route is None or not plan.during:
            return True
        return Capability.PROCESSED_LOGPROBS in self.route.backend.capabilities

    def _rewriter(
        self, plan: TreatmentPlan, share: float, prompt_tokens: int | None
    ) -> Callable[[dict[str, Any]], bool]:
        may_compare = self._may_compare(plan)
        public = self.route.model if self.route is not None and self.route.is_renamed else None

        def rewrite(value: dict[str, Any]) -> bool:
            if holds_pictures(value) and self.forbids_pictures():
                raise pictures_elsewhere()
            changed = hide_added(value, share) if prompt_tokens is None else set_prompt(value, prompt_tokens)
            if not may_compare:
                changed |= hide_alternatives(value)
            changed |= told_stops(value, self.body, plan.swaps)
            return renamed(value, public) or changed

        return rewrite


def _says_what_it_knows(key: ChannelKey) -> bool:
    """True for the answer, and for the thoughts beside it: who thinks about what he never knew tells it as well."""
    return key.is_answer or any(word in key.field for word in ("reason", "think", "summary", "refusal"))


def renamed(value: dict[str, Any], public: str | None) -> bool:
    """Put the public model name into an answer or event, in place. True if changed."""
    if public is None:
        return False
    holder = value.get("response") if isinstance(value.get("response"), dict) else value
    if not isinstance(holder, dict) or "model" not in holder:
        return False
    holder["model"] = public
    return True


def is_single(body: Body) -> bool:
    """True if the caller asked for one answer: only that can be begun anew."""
    prompt = body.get("prompt")
    return wanted(body) == 1 and not (isinstance(prompt, list) and len(prompt) > 1)


def wants_json(body: Body) -> bool:
    """True if the caller asked for a JSON answer."""
    text = body.get("text")
    wanted_format = body.get("response_format") or (text.get("format") if isinstance(text, dict) else None)
    kind = wanted_format.get("type") if isinstance(wanted_format, dict) else None
    structured = body.get("structured_outputs")
    is_structured = isinstance(structured, dict) and any(structured.get(key) for key in _JSON_KINDS)
    return kind in ("json_object", "json_schema") or is_structured or bool(body.get("guided_json"))


def _handed_in(searcher: Searcher, decision: Decision, passages: Sequence[Passage]) -> frozenset[HandedIn]:
    """(entry id, words) of every phrase that stands in content which the caller may hand in."""
    allowed = {detection.entry.id for detection in decision.supplied}
    places = {item.passage for detection in decision.supplied for item in detection.evidence if item.supplied}
    return frozenset(
        (tag.entry_id, normalise(passages[index].text[hit.start : hit.end]).words)
        for index in places
        for hit in searcher.find_phrases(passages[index].text)
        if is_supplied(passages[index], hit.start, hit.end)
        for tag in hit.tags
        if tag.entry_id in allowed
    )
