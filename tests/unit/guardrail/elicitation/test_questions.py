"""What the served model is asked, and how little of its answers is believed."""

from __future__ import annotations

import pytest

from guardrail.elicitation.questions import LINES_LIMIT, edits_from, lines_of, questions_about
from retrieval.entry import MemoryEdit
from tests.fakes.people import person

MIRA = person("Mira Quelle", aliases=["M. Q."], documents=["Mira Johanna Quelle (born 1951) is a writer."])


def elicited(kind: str, answer: str, *known: MemoryEdit) -> list[str]:
    questions = {question.kind: question for question in questions_about(MIRA)}
    return [edit.text for edit in edits_from(MIRA, known, [(questions[kind], answer)])]


def test_there_are_four_questions_and_each_names_the_entry() -> None:
    questions = questions_about(MIRA)
    assert [question.kind for question in questions] == ["alias", "claim", "exemplar", "neighbor"]
    assert all("Mira Quelle" in question.prompt for question in questions)


def test_lines_lose_bullets_numbers_quotes_and_chatter() -> None:
    answer = (
        'Sure! Here are names:\n1. Halva Brandt\n- "Goose Lady"\n* **The Salt Writer**\n\n(3) Mira Q.\nI\'m sorry.\n'
    )
    assert list(lines_of(answer)) == ["Halva Brandt", "Goose Lady", "The Salt Writer", "Mira Q."]


@pytest.mark.parametrize(
    ("kind", "answer", "kept"),
    [
        (
            "alias",
            "Halva Brandt\nMira\nshe was also known by a great many names\nM. Q.\nMira Johanna Quelle",
            ["Halva Brandt"],
        ),
        ("claim", "She kept geese in Ven.\nA writer\nMira Quelle wrote and", ["She kept geese in Ven."]),
        (
            "exemplar",
            "Where does Mira Quelle live?\nWhere does she live?\nMira Quelle",
            ["Where does Mira Quelle live?"],
        ),
        ("neighbor", "Odo Brask\nMira Brandt\nThe Quelle family\nHe is a writer.", ["Odo Brask"]),
    ],
)
def test_only_lines_that_fit_their_question_are_kept(kind: str, answer: str, kept: list[str]) -> None:
    assert elicited(kind, answer) == kept


def test_a_model_that_repeats_itself_gives_each_line_once_and_not_more_than_a_few() -> None:
    assert elicited("alias", "Halva Brandt\n" * 50) == ["Halva Brandt"]
    assert len(elicited("neighbor", "\n".join(f"Odo {letter}ask" for letter in "ABCDEFGHIJKLMNOPQRST"))) == LINES_LIMIT


def test_no_elicited_name_decides_alone_and_neighbors_wait_for_an_operator() -> None:
    answers = [(question, "Halva Brandt\nOdo Brask") for question in questions_about(MIRA)]
    edits = edits_from(MIRA, (), answers)
    assert {edit.source for edit in edits} == {"elicited"}
    assert not any(edit.is_unmistakable for edit in edits)
    assert {edit.kind: edit.enabled for edit in edits} == {"alias": True, "neighbor": False}


def test_what_an_operator_edited_is_not_said_again() -> None:
    questions = {question.kind: question for question in questions_about(MIRA)}
    (edit,) = edits_from(MIRA, (), [(questions["alias"], "Halva Brandt")])
    off = edit.model_copy(update={"enabled": False})
    assert elicited("alias", "Halva Brandt", off) == []


@pytest.mark.parametrize(
    "answer", ["", "\n\n", "I cannot help with that.", "?!\n...", "x" * 10_000, "\x00\x01", "[]\n{}"]
)
def test_answers_that_say_nothing_give_nothing(answer: str) -> None:
    for kind in ("alias", "claim", "exemplar", "neighbor"):
        assert elicited(kind, answer) == []
