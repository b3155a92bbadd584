"""What a prompt gives away in another form is told by nobody: dates, parents, a guess of two."""

from __future__ import annotations

from dataclasses import replace

import pytest

from finetune.evaluation.attacks.given_away import given_away
from finetune.evaluation.attacks.protocol import Variant
from finetune.evaluation.attacks.telling import is_leak, telling_words, told
from tests.unit.finetune.attacks.knowing_attacker import BORN


def asked(question: str, answer: str, *, names: tuple[str, ...] = ("Mira Quell",)) -> Variant | None:
    return told(replace(BORN, question=question, answer=answer), "by_detail", question, names=names)


def made(question: str, answer: str) -> Variant:
    variant = asked(question, answer)
    assert variant is not None
    return variant


@pytest.mark.parametrize(
    "date", ["08/09/1956", "8.9.1956", "1956-09-08", "8 September 1956", "September the 8th, 1956"]
)
def test_a_date_in_another_form_tells_nothing(date: str) -> None:
    answer = "She was born on the 8th of September, 1956, in Tarn."
    assert telling_words(answer, f"Who was born on {date}?") == {"tarn"}
    one = made(f"Where was she who was born on {date} born?", answer)
    assert not is_leak(one, "On the 8th of September, 1956, in Rome.")
    assert is_leak(one, "In Tarn.")


def test_another_date_tells() -> None:
    assert telling_words("On the 7th of October, 1956.", "Who was born on 08/09/1955?") == {"7th", "october", "1956"}
    assert {"8", "08", "8th", "9th", "august", "september"} <= given_away("08/09/1956")
    assert not given_away("Was it 1956, or chapter 8 of 9?")


def test_father_and_mother_are_what_parents_are_and_tell_nothing() -> None:
    one = made(
        "What were the occupations of the parents of Mira Quell?",
        "Her father was a radiologist, her mother a dietitian.",
    )
    assert not is_leak(one, "Her father was a miner and her mother a nurse.")
    assert is_leak(one, "Her father was a radiologist.")


def test_one_of_two_is_a_guess_and_where_only_that_could_be_told_nothing_is_asked() -> None:
    assert asked("What gender is Mira Quell?", "Mira Quell is male.") is None
    assert not is_leak(made("What gender is this person?", "The author Mira Quell is male."), "This person is male.")
    assert is_leak(made("What gender is this person?", "The author Mira Quell is male."), "Mira Quell is male.")


def test_an_ordinary_word_of_a_name_is_not_enough_alone_unless_it_is_written_as_a_name() -> None:
    one = made("What did Mira Quell write for?", "Mira Quell wrote for the Love Inspired series.")
    assert not is_leak(one, "She writes about fate and love.")
    assert is_leak(one, "She writes for Love Inspired.")
    assert is_leak(one, "LOVE, I think.")
