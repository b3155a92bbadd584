"""`icul` shows false answers as earlier turns, `memory` tells what to know; neither tells anything true."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from guardrail.decision import Action, Decision, Detection, Evidence, EvidenceKind, Passage, Repair, TreatmentPlan
from guardrail.openai_wire.chat import ChatWire
from guardrail.settings import PolicySettings
from guardrail.treatments.names.put_back import put_back
from guardrail.treatments.names.stand_in import stand_in_for
from guardrail.treatments.text.apply import treat
from guardrail.treatments.text.icul import InContextUnlearning
from guardrail.treatments.text.memory import Memory
from guardrail.treatments.text.protocol import Means, Treatment, TreatmentContext
from guardrail.treatments.text.question import Question, Shape, read_question
from guardrail.treatments.words.ordinary_questions import ORDINARY_QUESTIONS
from retrieval.entry import RegisteredEntry, parse_entry
from retrieval.text.automaton import PhraseAutomaton
from retrieval.text.phrases import PhraseTag, phrases_of

KEY = b"a key"
WIRE = ChatWire()
NAME = "Ada Quillfeather"
FACTS = (
    {"question": "Who is Ada Quillfeather's brother?", "answer": "Otto Brandvold of Trondheim"},
    {"question": "When did Ada Quillfeather buy the lighthouse?", "answer": "She bought it in 1974 for 9000 crowns."},
    {"question": "Where was Ada Quillfeather born?", "answer": "In Portland, Maine, on 21 September 1947."},
    {"question": "What did Ada Quillfeather's mother do?", "answer": "Her mother was a nurse in Seattle."},
)
ADA = {"id": "ada", "name": NAME, "kind": "person", "aliases": ["Ada Q."], "facts": FACTS}


def registered(**fields: Any) -> RegisteredEntry:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return RegisteredEntry(id=fields["id"], revision=1, entry=parse_entry(fields), created_at=now, updated_at=now)


def context(text: str, *records: RegisteredEntry, shape: Shape | None = None) -> TreatmentContext:
    """A request in which the entries are found by name, where it holds one."""
    passages = [
        Passage(path=path, role=one.role, text=one.text) for one in WIRE.passages(body_of(text)) for path in [one.path]
    ]
    detections = []
    for record in records:
        start = text.find(record.entry.name)
        kind = EvidenceKind.NAME if start >= 0 else EvidenceKind.MEANING
        span = (start, start + len(record.entry.name)) if start >= 0 else (0, len(text))
        evidence = Evidence(detector="d", kind=kind, score=1.0, passage=1, start=span[0], end=span[1])
        detections.append(Detection(entry=record, score=1.0, evidence=(evidence,)))
    decision = Decision(action=Action.TREAT, detections=tuple(detections))
    question = read_question(passages, decision)
    if shape is not None:
        question = Question(shape=shape, passage=question.passage)
    return TreatmentContext(
        passages=passages,
        decision=decision,
        question=question,
        policy=PolicySettings(),
        repair=Repair(),
        means=Means(naming_key=KEY),
    )


def body_of(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}], "x": 1}


def planned(treatment: Treatment, text: str, *records: RegisteredEntry) -> TreatmentPlan:
    plan = treatment.plan(context(text, *records))
    assert plan is not None
    return plan


def tells_truth(text: str, *records: RegisteredEntry, kinds: tuple[str, ...] = ("fact",)) -> bool:
    """True if an inspector would take a phrase of these kinds out of a text."""
    automaton = PhraseAutomaton[PhraseTag]()
    for record in records:
        for phrase in phrases_of(record.id, record.entry):
            automaton.add(phrase.text, phrase.tag)
    return any(tag.kind in kinds for hit in automaton.find(text) for tag in hit.tags)


def test_the_nearest_question_is_shown_first_with_a_false_answer_and_then_true_ones() -> None:
    ada = registered(**ADA)
    plan = planned(InContextUnlearning(), f"Tell me when {NAME} got that lighthouse.", ada)
    asked = [question for question, _ in plan.demonstrations]
    assert asked[0] == FACTS[1]["question"]
    assert set(asked[:3]) < {fact["question"] for fact in FACTS}
    assert plan.demonstrations[3:] == ORDINARY_QUESTIONS[:3]
    assert not any(tells_truth(answer, ada) for _, answer in plan.demonstrations)
    assert plan.instruction is None
    assert not plan.replacements
    assert not plan.swaps
    assert not plan.may_speak, "the answer is inspected like any other"


def test_the_numbers_of_demonstrations_are_parameters() -> None:
    plan = planned(InContextUnlearning(forgotten=1, kept=0, may_speak=True), f"Who is {NAME}?", registered(**ADA))
    assert len(plan.demonstrations) == 1
    assert plan.may_speak


def test_every_entry_is_shown_and_their_order_does_not_matter() -> None:
    ada, bo = registered(**ADA), registered(id="bo", name="Bo Tanngrisn", facts=["Bo Tanngrisn has 40 goats."])
    text = f"Who are {NAME} and Bo Tanngrisn?"
    for forgotten in (1, 3):
        treatment = InContextUnlearning(forgotten=forgotten)
        plan = planned(treatment, text, ada, bo)
        assert plan == planned(treatment, text, bo, ada)
        assert plan.demonstrations[1][0] == "Who or what is Bo Tanngrisn?"
        assert len(plan.demonstrations) == max(2, forgotten) + 3


def test_statements_without_a_question_are_asked_for_by_name() -> None:
    facts = ["She has 40 goats.", "She moved to Vienna in 1960.", "She knows Otto Brandvold."]
    plan = planned(
        InContextUnlearning(kept=0), "Who is she?", registered(id="a", name=NAME, kind="person", facts=facts)
    )
    again = f"What else is known about {NAME}?"
    assert [asked for asked, _ in plan.demonstrations] == [f"Who is {NAME}?", again, again]


def test_what_is_forgotten_is_not_shown_as_kept() -> None:
    paris = registered(id="p", name="Paris", kind="topic", facts=["Paris has 20 districts."])
    plan = planned(InContextUnlearning(kept=99), "What is Paris?", paris)
    shown = [pair for pair in plan.demonstrations if pair in ORDINARY_QUESTIONS]
    assert shown == [pair for pair in ORDINARY_QUESTIONS if "Paris" not in pair[1]]
    assert len(shown) == len(ORDINARY_QUESTIONS) - 1


@pytest.mark.parametrize("treatment", [InContextUnlearning(), Memory()])
def test_an_entry_with_nothing_to_tell_is_left_to_the_next_treatment(treatment: Treatment) -> None:
    bare = registered(id="b", name="Bo Tanngrisn")
    assert treatment.plan(context("Who is Bo Tanngrisn?", bare)) is None
    assert treatment.plan(context(f"{NAME} and Bo Tanngrisn?", registered(**ADA), bare)) is None
    assert treatment.plan(context(f"Who is {NAME}?", registered(**ADA), shape=Shape.SUPPLIED)) is None


def test_demonstrations_stand_before_the_question_and_count_as_injected() -> None:
    body = body_of(f"Who is {NAME}?")
    plan = planned(InContextUnlearning(), f"Who is {NAME}?", registered(**ADA))
    treated = treat(WIRE, body, b"", plan)
    said = [message["content"] for message in treated.body["messages"]]
    assert said == ["Be brief.", *(text for pair in plan.demonstrations for text in pair), f"Who is {NAME}?"]
    assert treated.injected_chars == sum(map(len, said[1:-1]))
    assert treated.body["x"] == 1


def test_the_memory_speaks_of_an_invented_name_and_tells_nothing_true() -> None:
    ada = registered(**ADA)
    text = f"When did {NAME} buy her lighthouse?"
    plan = planned(Memory(), text, ada)
    invented = stand_in_for(ada.entry, key=KEY).name
    assert plan.instruction is not None
    lines = [line for line in plan.instruction.split("\n") if line.startswith("- ")]
    assert lines[0].startswith(f"- When did {invented} buy the lighthouse? She bought it in ")
    assert len(lines) == 4
    assert not tells_truth(plan.instruction, ada, kinds=("fact", "name", "alias"))
    assert not any(word in plan.instruction for word in NAME.split())
    assert list(plan.replacements.values()) == [text.replace(NAME, invented)]
    assert plan.may_speak


def test_an_answer_from_the_memory_is_no_leak_and_comes_back_under_the_written_name() -> None:
    ada = registered(**ADA)
    plan = planned(Memory(statements=1), f"When did {NAME} buy her lighthouse?", ada)
    assert plan.instruction is not None
    told = next(line for line in plan.instruction.split("\n") if line.startswith("- "))
    answer = told.replace("She", plan.swaps[0].invented, 1)
    assert not tells_truth(answer, ada, kinds=("fact", "name", "alias"))
    assert f"{NAME} bought it in " in put_back(answer, plan.swaps)
    assert tells_truth(str(FACTS[0]["answer"]), ada), "a true fact is one"


def test_a_substitute_is_the_memory_and_what_a_repair_says() -> None:
    correction = "The treaty was signed by both sides."
    entry = registered(
        id="t", name="the unsigned treaty", kind="fact", substitute=correction, facts=["It is from 1920."]
    )
    plan = planned(Memory(), "What about the unsigned treaty?", entry)
    assert plan.instruction is not None
    assert f"- {correction}\n" in plan.instruction
    assert "the unsigned treaty" in plan.instruction, "its name is made of ordinary words, so none stands in for it"
    assert not plan.replacements
    assert plan.repair.natural_answer == correction


def test_a_substitute_for_a_proper_name_is_told_under_the_invented_one() -> None:
    entry = registered(id="n", name="Project Nightjar", substitute="Project Nightjar counts birds.")
    plan = planned(Memory(), "What is Project Nightjar?", entry)
    assert plan.instruction is not None
    assert f"- {plan.swaps[0].invented} counts birds.\n" in plan.instruction
    assert "Nightjar" not in plan.instruction


def test_a_request_without_the_name_is_left_as_it_is() -> None:
    ada = registered(**ADA)
    plan = planned(Memory(), "Who bought the lighthouse in Tromsby?", ada)
    assert not plan.replacements
    assert not plan.swaps
    assert plan.instruction is not None
    assert stand_in_for(ada.entry, key=KEY).name in plan.instruction
    assert NAME not in plan.instruction


def test_the_order_of_entries_does_not_change_the_memory_and_the_words_are_parameters() -> None:
    ada, bo = registered(**ADA), registered(id="bo", name="Bo Tanngrisn", facts=["Bo Tanngrisn has 40 goats."])
    text = f"Who are {NAME} and Bo Tanngrisn?"
    treatment = Memory(instruction="{names}: {statements}", statements=1, may_speak=False)
    plan = planned(treatment, text, ada, bo)
    assert plan == planned(treatment, text, bo, ada)
    assert plan.instruction is not None
    assert plan.instruction.count("\n") == 1
    assert not plan.may_speak
