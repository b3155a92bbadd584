"""Corrupted prompts: which places are corrupted, and how the request carries them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from guardrail.decision import (
    Action,
    Capability,
    Corruption,
    Decision,
    Detection,
    Evidence,
    EvidenceKind,
    TreatedRequest,
    TreatmentPlan,
)
from guardrail.openai_wire.chat import ChatWire
from guardrail.openai_wire.completions import CompletionsWire
from guardrail.settings import PolicySettings
from guardrail.treatments.embeds_in import corrupt_parts
from guardrail.treatments.text.apply import treat
from guardrail.treatments.text.eco import EmbeddingCorruption
from guardrail.treatments.text.protocol import Means, TreatmentContext
from guardrail.treatments.text.question import read_question
from retrieval.entry import RegisteredEntry, parse_entry

NAME = "Zorblax Quint"
MEANS = Means(capabilities=frozenset((Capability.CHAT, Capability.PROMPT_EMBEDS)), naming_key=b"key")
CHAT = ChatWire()


def record(entry_id: str = "e1", name: str = NAME, **fields: Any) -> RegisteredEntry:
    now = datetime.now(UTC)
    parsed = parse_entry({"id": entry_id, "name": name, **fields})
    return RegisteredEntry(id=entry_id, revision=1, entry=parsed, created_at=now, updated_at=now)


def plan_of(
    body: Any, *entries: RegisteredEntry, wire: Any = CHAT, means: Means = MEANS, supplied: bool = False
) -> TreatmentPlan | None:
    """The plan for a request in which every place that holds an entry's name was met."""
    passages = wire.passages(body)
    detections = []
    for entry in entries or (record(),):
        found = [(at, one.text.find(entry.entry.name)) for at, one in enumerate(passages)]
        evidence = [
            Evidence(
                detector="lexical",
                kind=EvidenceKind.NAME,
                score=1.0,
                passage=at,
                start=start,
                end=start + len(entry.entry.name),
                supplied=supplied,
            )
            for at, start in found
            if start >= 0
        ]
        meaning = Evidence(detector="semantic", kind=EvidenceKind.MEANING, score=0.9, passage=0, start=0, end=1)
        detections.append(Detection(entry=entry, score=1.0, evidence=(*evidence, meaning)))
    decision = Decision(action=Action.TREAT, treatment="eco", detections=tuple(detections))
    policy = PolicySettings()
    context = TreatmentContext(
        passages=passages,
        decision=decision,
        question=read_question(passages, decision),
        policy=policy,
        repair=TreatmentPlan(treatment="").repair,
        means=means,
    )
    return EmbeddingCorruption().plan(context)


def chat(*contents: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": content} for content in contents]}


def shown(text: str, corruptions: Sequence[Corruption]) -> str:
    """In place of embeddings: the text with each corrupted character as a star."""
    hidden = {at for one in corruptions for at in range(one.start, one.end)}
    return "".join("*" if at in hidden else sign for at, sign in enumerate(text))


def sent(body: Any, plan: TreatmentPlan | None) -> TreatedRequest:
    assert plan is not None
    return corrupt_parts(treat(CHAT, body, orjson.dumps(body), plan), plan, shown)


def test_every_text_that_names_the_entry_goes_as_embeddings_and_no_other() -> None:
    body = chat("Hello.", f"Who is {NAME}?", [{"type": "text", "text": "Say."}, {"type": "text", "text": f"{NAME}!"}])
    treated = sent(body, plan_of(body))
    assert [message["content"] for message in treated.body["messages"]] == [
        "Hello.",
        [{"type": "prompt_embeds", "data": "Who is *************?"}],
        [{"type": "text", "text": "Say."}, {"type": "prompt_embeds", "data": "*************!"}],
    ]
    assert treated.has_embeds
    assert orjson.loads(treated.raw) == treated.body
    assert NAME.encode() not in treated.raw


def test_several_entries_are_corrupted_each_with_its_own_noise() -> None:
    body = chat(f"Did {NAME} meet Ann Other?")
    plan = plan_of(body, record(), record("e2", "Ann Other"))
    assert plan is not None
    assert sent(body, plan).body["messages"][0]["content"][0]["data"] == "Did ************* meet *********?"
    assert len({one.seed for one in plan.corruptions}) == 2


def test_noise_stays_the_same_over_turns_and_differs_between_deployments() -> None:
    def seeds(body: Any, key: bytes) -> set[int]:
        plan = plan_of(body, means=Means(capabilities=MEANS.capabilities, naming_key=key))
        assert plan is not None
        return {one.seed for one in plan.corruptions}

    first, later = chat(f"Who is {NAME}?"), chat(f"Who is {NAME}?", "Hm.", f"I said {NAME}.")
    assert seeds(first, b"key") == seeds(later, b"key")
    assert seeds(first, b"key") != seeds(first, b"other")


@pytest.mark.parametrize(
    "body",
    [
        chat("Who is he?"),
        {**chat(f"Who is {NAME}?"), "tools": [{"type": "function", "function": {"description": f"About {NAME}"}}]},
    ],
)
def test_where_nothing_is_named_or_a_name_cannot_be_embeddings_another_treatment_takes_it(body: Any) -> None:
    assert plan_of(body) is None


def test_other_endpoints_are_another_treatments() -> None:
    assert plan_of({"model": "m", "prompt": f"Who is {NAME}?"}, wire=CompletionsWire()) is None


def test_a_text_that_is_redacted_as_well_is_another_treatments() -> None:
    redacting = record(supplied_context="redact")
    assert plan_of(chat(f"Who is {NAME}?"), redacting, supplied=True) is None


def test_names_are_found_again_in_a_text_that_another_treatment_edited() -> None:
    body = chat(f"Who is {NAME}?")
    plan = plan_of(body)
    assert plan is not None
    path = ("messages", 0, "content")
    edited = TreatmentPlan(
        treatment="eco", corruptions=plan.corruptions, replacements={path: f"{NAME} asked: who is {NAME}?"}
    )
    assert sent(body, edited).body["messages"][0]["content"][0]["data"] == "************* asked: who is *************?"
    gone = TreatmentPlan(treatment="eco", corruptions=plan.corruptions, replacements={path: "Who is that?"})
    assert sent(body, gone).body["messages"][0]["content"] == "Who is that?"
    assert not sent(body, gone).has_embeds


def test_a_plan_without_corruptions_changes_nothing() -> None:
    treated = TreatedRequest(body=chat("Hello."), raw=b"as it came")
    assert corrupt_parts(treated, TreatmentPlan(treatment="ignorance"), shown) is treated
