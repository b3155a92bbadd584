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
    assert (question.shape, dict(question.replacements)) == (Shape.MIXED, {passages[0].path: rest})


def test_a_follow_up_that_points_back_is_about_the_entry() -> None:
    passages = conversation(f"Who is {NAME}?", "I'm not familiar with that person.", "What else did he write?")
    assert read_question(passages, decision_for(passages)).shape is Shape.PURE


def test_a_new_subject_after_the_entry_is_not_about_it() -> None:
    passages = conversation(f"Who is {NAME}?", "I'm not familiar with that person.", "What is the capital of France?")
    assert read_question(passages, decision_for(passages)).shape is Shape.EARLIER


def parts(*texts: str) -> list[Passage]:
    return [Passage(path=("messages", 0, "content", n, "text"), role=Role.USER, text=t) for n, t in enumerate(texts)]


def test_what_stands_behind_the_question_does_not_hide_it() -> None:
    name = Passage(path=("messages", 0, "name"), role=Role.USER, text="bob")
    for passages in (
        [*conversation(f"Who is {NAME}?"), name],
        parts(f"Who is {NAME}?", "Answer fully."),
        parts(f"Who is {NAME}?", "What else did he write?"),
    ):
        assert read_question(passages, decision_for(passages)).shape is Shape.PURE


def test_two_user_messages_in_a_row_are_one_turn() -> None:
    first, second = (
        Passage(path=("messages", n, "content"), role=Role.USER, text=text)
        for n, text in enumerate((f"Who is {NAME}?", "Answer in one full sentence."))
    )
    assert read_question([first, second], decision_for([first, second])).shape is Shape.PURE


def test_an_answer_that_the_caller_has_begun_is_about_the_entry() -> None:
    passages = [
        *conversation("Go on."),
        Passage(path=("messages", 1, "content"), role=Role.ASSISTANT, text=f"{NAME} was"),
    ]
    assert read_question(passages, decision_for(passages)).shape is Shape.PURE


def test_each_prompt_of_a_list_is_a_request_of_its_own() -> None:
    texts = (f"Who is {NAME} and what is two plus two?", "What is the capital of Peru?")
    passages = [Passage(path=("prompt", n), role=Role.USER, text=text) for n, text in enumerate(texts)]
    question = read_question(passages, decision_for(passages))
    assert (question.shape, question.matched_passages) == (Shape.PURE, (0,))
