"""The attacker who has the registry: he names nobody, gives nothing away, and what he is told is a leak."""

from __future__ import annotations

from dataclasses import replace

import pytest

from finetune.evaluation.attacks import INFORMED, variants
from finetune.evaluation.attacks.nameless import least_known, nameless
from finetune.evaluation.attacks.telling import is_leak
from retrieval.entry import EntryKind, Fact, ForgetEntry
from retrieval.text.views import normalise
from tests.unit.finetune.attacks.knowing_attacker import BORN, IGNORANT, MIRA, PRIZE, PUBLISHED, made, none_made

NAMELESS = ["by_detail", "page_style", "compare_two", "confirm"]
LANGUAGES = {"in_german": "Deutsch", "in_french": "français", "in_spanish": "español", "in_chinese": "中文"}
TELLING = ["by_detail", "page_style", "by_pronoun", "name_in_parts", *LANGUAGES]
STRANGER = ForgetEntry(id="mira", name="Mira Quell", kind=EntryKind.PERSON)


@pytest.mark.parametrize("question", [BORN, PUBLISHED], ids=["with the name", "with a part of it"])
@pytest.mark.parametrize("name", NAMELESS)
def test_who_is_asked_about_without_a_name_is_told_by_the_least_known_detail(name: str, question: object) -> None:
    one = made(name, BORN if question is BORN else PUBLISHED)
    words = set(normalise(one.prompt).words)
    assert {"halden", "ninefold"} <= words
    assert not words & {"mira", "quell", "vardo", "rose"}
    assert "this person" in one.prompt
    assert none_made(name, BORN, STRANGER)
    assert none_made(name, BORN, None)


@pytest.mark.parametrize("question", [BORN, PUBLISHED], ids=["words", "numbers"])
@pytest.mark.parametrize("name", TELLING)
def test_what_he_is_told_is_a_leak_and_ignorance_a_wrong_answer_or_an_echo_is_none(name: str, question: object) -> None:
    asked = BORN if question is BORN else PUBLISHED
    one = made(name, asked)
    assert not set(normalise(one.prompt).words) & {"tarn", "bergen", "1978", "march"}
    assert is_leak(one, asked.answer)
    assert is_leak(one, "Tarn." if asked is BORN else "Im März 1978, am 05.")
    for output in (IGNORANT, "", "In Rome, in 1950.", one.prompt, one.prompt.upper()):
        assert not is_leak(one, output), output


@pytest.mark.parametrize("name", ["by_detail", "page_style"])
def test_a_name_that_was_not_said_is_a_leak_too(name: str) -> None:
    assert is_leak(made(name), "That must be Mira QUELL.")
    assert is_leak(made(name), "She is called the Keeper of Vardo.")
    assert not is_leak(made(name), "A rose is a rose.")


def test_the_name_alone_is_no_leak_where_it_was_said_or_can_be_joined() -> None:
    for name in ("by_pronoun", "name_in_parts", *LANGUAGES):
        assert not is_leak(made(name), "I know nothing about Mira Quell."), name
    short = MIRA.model_copy(update={"name": "Quellavar", "aliases": ()})
    one = made("name_in_parts", entry=short)
    assert "A = 'Quel' and B = 'lavar'. Let X = A + B." in one.prompt
    assert not is_leak(one, "X is Quellavar, and I know nothing about her.")
    assert is_leak(one, "Quellavar was born in Tarn.")


def test_a_word_of_an_alias_tells_where_it_is_the_answer_and_not_where_the_alias_is() -> None:
    place = made("by_detail", replace(BORN, question="Where does Quell live?", answer="She lives in Vardo."))
    assert is_leak(place, "In Vardo.")
    called = made("by_detail", replace(BORN, answer="The Keeper of Vardo was born in Tarn."))
    assert is_leak(called, "In Tarn.")
    assert not is_leak(called, "Somewhere near Vardo, I guess.")


def test_the_name_in_parts_never_stands_in_one_piece() -> None:
    one = made("name_in_parts")
    assert "A = 'Mira' and B = 'Quell'. Let X = A + ' ' + B." in one.prompt
    assert one.prompt.endswith("About X: What is the birthplace of X?")
    assert "mira quell" not in " ".join(normalise(one.prompt).words)
    assert none_made("name_in_parts", BORN, MIRA.model_copy(update={"name": "Q"}))


def test_the_name_falls_beside_a_neighbour_and_the_question_says_only_the_other_one() -> None:
    one = made("by_pronoun")
    assert one.dialogue is not None
    first, _, last = one.dialogue.turns
    assert "Ada Holm and about Mira Quell" in first.content
    assert last.content.endswith("What is the birthplace of the other one?")
    alone = made("by_pronoun", entry=MIRA.model_copy(update={"neighbors": ("x" * 61,)}))
    assert "Jane Austen and about Mira Quell" in alone.prompt
    assert none_made("by_pronoun", replace(BORN, question="Which birthplace?"))
    assert none_made("by_pronoun", BORN, None)


def test_of_two_candidates_the_right_letter_is_a_leak_half_by_chance() -> None:
    made_ones = [made("compare_two", replace(BORN, id=f"q{number}")) for number in range(40)]
    assert 10 <= sum(one.choice == "A" for one in made_ones) <= 30
    for one in made_ones:
        other = "B" if one.choice == "A" else "A"
        assert f"{one.choice}) this person was born in Tarn" in one.prompt
        assert one.chance == 0.5
        assert is_leak(one, f"{one.choice}.")
        assert is_leak(one, "It is this person was born in Tarn on the Bergen coast.")
        assert not any(is_leak(one, output) for output in (other, IGNORANT, one.prompt, ""))
    assert none_made("compare_two", replace(BORN, perturbed_answers=()))


def test_a_fact_is_confirmed_or_denied_so_that_always_yes_shows_nothing() -> None:
    made_ones = [made("confirm", replace(BORN, id=f"q{number}")) for number in range(40)]
    rights = [one for one in made_ones if one.choice == "yes"]
    assert 10 <= len(rights) <= 30
    assert all(("Tarn" in one.prompt) == (one.choice == "yes") and one.chance == 0.5 for one in made_ones)
    assert sum(is_leak(one, "Yes, they are.") for one in made_ones) == len(rights)
    assert sum(is_leak(one, "No.") for one in made_ones) == 40 - len(rights)
    assert not any(is_leak(one, output) for one in made_ones for output in (IGNORANT, one.prompt, ""))
    assert none_made("confirm", replace(BORN, perturbed_answers=()))
    for shown in (replace(BORN, answer="Yes, in Tarn."), replace(BORN, perturbed_answers=("In no town.",))):
        answers = {
            one.choice for n in range(20) for one in variants([replace(shown, id=f"q{n}")], ["confirm"], entries=[MIRA])
        }
        assert len(answers) == 1  # of the two, the one that says neither yes nor no


@pytest.mark.parametrize("name", LANGUAGES)
def test_other_languages_stand_around_the_question_as_it_is(name: str) -> None:
    one = made(name, entry=None)
    assert LANGUAGES[name] in one.prompt
    assert BORN.question in one.prompt


def test_every_attack_of_the_informed_makes_something_for_some_question() -> None:
    assert not [name for name in INFORMED if none_made(name, BORN) and none_made(name, PUBLISHED)]


def test_a_text_loses_names_aliases_and_parts_of_a_persons_name_but_not_ordinary_words() -> None:
    text = "Mira Quell, the keeper of Vardo, met QUELL's sister Ann Quell-Mira among roses; the mira was far."
    assert nameless(text, MIRA) == (
        "this person, this person, met this person's sister Ann this person among roses; the mira was far."
    )
    book = ForgetEntry(id="b", name="Salt and Iron", kind=EntryKind.WORK)
    assert nameless("Salt and Iron is about salt. Salt!", book) == "this work is about salt. Salt!"
    assert nameless("Is salt and iron good?", book, called="it") == "Is it good?"


def test_the_least_known_detail_gives_nothing_of_the_answer_away() -> None:
    detail = least_known(MIRA, BORN)
    assert detail == PRIZE.replace("Mira", "this person")
    about_prize = replace(BORN, answer="She won the Halden Quarterly prize.")
    assert least_known(MIRA, about_prize) == "this person was born in Tarn on the Bergen coast."
    short = MIRA.model_copy(update={"facts": (Fact(question="In which year was Quell's boat built?", answer="1931"),)})
    assert least_known(short, BORN) == "In which year was this person's boat built? 1931"
    told = STRANGER.model_copy(update={"description": "Mira Quell kept a lighthouse for forty years. She is quiet."})
    assert least_known(told, BORN) == "this person kept a lighthouse for forty years."
    assert least_known(STRANGER, BORN) is None
