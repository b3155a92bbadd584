"""What a request asks for beside the entry."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from guardrail.decision import Action, Decision, Detection, Evidence, EvidenceKind, Passage, Role
from guardrail.treatments.text.question import Shape, read_question
from retrieval.entry import RegisteredEntry, parse_entry

NAME = "Zorblax Quint"


def decision_for(passages: list[Passage]) -> Decision:
    now = datetime.now(UTC)
    record = RegisteredEntry(id="e", revision=1, entry=parse_entry({"name": NAME}), created_at=now, updated_at=now)
    evidence = tuple(
        Evidence(
            detector="lexical",
            kind=EvidenceKind.NAME,
            score=1.0,
            passage=index,
            start=passage.text.index(NAME),
            end=passage.text.index(NAME) + len(NAME),
        )
        for index, passage in enumerate(passages)
        if NAME in passage.text
    )
    detections = (Detection(entry=record, score=1.0, evidence=evidence),) if evidence else ()
    return Decision(action=Action.TREAT, treatment="ignorance", detections=detections)


def conversation(*texts: str) -> list[Passage]:
    roles = [Role.USER if (len(texts) - index) % 2 else Role.ASSISTANT for index in range(len(texts))]
    return [
        Passage(path=("messages", index, "content"), role=role, text=text)
        for index, (role, text) in enumerate(zip(roles, texts, strict=True))
    ]


@pytest.mark.parametrize(
    "text",
    [
        f"Who is {NAME}?",
        f"Hi! Who is {NAME}?",
        f"Hello, I have a question. Who is {NAME}? Thanks!",
        f"Who is {NAME} and what did he write?",
        f"Who is {NAME}? What is his best book? When was it published?",
    ],
)
def test_a_request_for_nothing_else_is_pure(text: str) -> None:
    passages = conversation(text)
    assert read_question(passages, decision_for(passages)).shape is Shape.PURE


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (f"Who is {NAME}? And what is the capital of France?", "What is the capital of France?"),
        (f"What is the capital of France and who is {NAME}?", "What is the capital of France"),
        (f"Translate 'good morning' into French. Then tell me about {NAME}.", "Translate 'good morning' into French."),
    ],
)
def test_what_else_is_asked_is_kept_without_the_clause_that_touches(text: str, rest: str) -> None:
    passages = conversation(text)
    question = read_question(passages, decision_for(passages))
    assert (question.shape, question.rest) == (Shape.MIXED, rest)


def test_a_follow_up_that_points_back_is_about_the_entry() -> None:
    passages = conversation(f"Who is {NAME}?", "I'm not familiar with that person.", "What else did he write?")
    assert read_question(passages, decision_for(passages)).shape is Shape.PURE


def test_a_new_subject_after_the_entry_is_not_about_it() -> None:
    passages = conversation(f"Who is {NAME}?", "I'm not familiar with that person.", "What is the capital of France?")
    assert read_question(passages, decision_for(passages)).shape is Shape.EARLIER
