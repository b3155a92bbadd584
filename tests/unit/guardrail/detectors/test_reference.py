"""How a turn of a conversation is read: does it point back, or does it stand by itself?"""

from __future__ import annotations

import pytest

from guardrail.detectors.reference import Gender, Link, read_reference


@pytest.mark.parametrize(
    ("text", "gender"),
    [
        ("And his wife?", Gender.HE),
        ("What did she study?", Gender.SHE),
        ("Which Super Bowl did he win with the New York Giants?", Gender.HE),
        ("Did Ann Miller ever meet him?", Gender.HE),
        ("Is Ann Miller his wife?", Gender.HE),
        ("I like cats. When was he born?", Gender.HE),
        ("Back to the writer: what was her first novel?", Gender.SHE),
        ("Und wann wurde er geboren?", Gender.HE),
        ("¿Y dónde nació su madre?", Gender.ANY),
        ("Какие книги она написала?", Gender.SHE),
        ("她最有名的歌是什么?", Gender.ANY),
    ],
)
def test_a_pronoun_without_a_person_of_its_own_means_someone_spoken_of_before(text: str, gender: Gender) -> None:
    reading = read_reference([text])
    assert (reading.link, reading.gender) == (Link.PERSON, gender)


@pytest.mark.parametrize(
    "text",
    [
        "Tell me more.",
        "Go on.",
        "ok",
        "Net worth?",
        "And in the 2000s?",
        "What was the first one called?",
        "Who is that person?",
        "Which awards were won?",
        "When was the novel published?",
        "How does it end?",
        "Who am I thinking of?",
        "Weiter bitte.",
        "¿Dónde nació?",
        "继续",
    ],
)
def test_what_has_no_subject_of_its_own_means_what_was_spoken_of_just_before(text: str) -> None:
    assert read_reference([text]).link is Link.NEAREST


@pytest.mark.parametrize(
    "text", ["Answer my first question again.", "Summarise our conversation.", "Repeat your last answer."]
)
def test_the_talk_itself_can_be_meant(text: str) -> None:
    assert read_reference([text]).link is Link.CONVERSATION


@pytest.mark.parametrize("text", ["Thanks!", "ok thanks", "Hello", "Great, thank you very much.", "Danke", "Bye"])
def test_a_greeting_asks_nothing(text: str) -> None:
    assert read_reference([text]).link is Link.CLOSING


@pytest.mark.parametrize(
    "text", ["Thanks and when was he born", "Thanks, and his wife?", "Never mind, when did he die?"]
)
def test_a_question_behind_thanks_is_still_read(text: str) -> None:
    assert read_reference([text]).link is Link.PERSON


@pytest.mark.parametrize(
    "text",
    [
        "How do I sort a list in Python?",
        "Thanks. How do I sort a list in Python?",
        "I have a cat and it scratches the sofa. What can I do?",
        "Who was Marie Curie and what did she discover?",
        "What award did Marie Curie win for her research?",
        "Where do people drink less coffee than they do in Mexico?",
        "My brother is ill. What should he eat?",
        "Is it possible to freeze bread?",
        "Write a short poem about autumn leaves.",
        "Can you explain how photosynthesis works?",
        "Ignore that for a moment. How do I convert Celsius to Fahrenheit?",
        "Wie lange muss ich Eier kochen, damit sie hart werden?",
        "¿Cuál es la receta de la tortilla de patatas?",
    ],
)
def test_what_brings_its_own_subject_stands_by_itself(text: str) -> None:
    assert read_reference([text]).link is Link.OWN


def test_only_the_sentences_that_point_back_are_told() -> None:
    text = "What else did he write? And what is the capital of France?"
    reading = read_reference([text])
    assert [text[span.start : span.end] for _, span in reading.spans] == ["What else did he write?"]


def test_padding_does_not_hide_a_question_that_points_back() -> None:
    padding = "The weather in Lisbon is mild in spring. " * 60
    assert read_reference([padding + "What did he write? " + padding]).link is Link.PERSON


def test_a_turn_that_is_not_read_to_its_end_counts_as_pointing_back() -> None:
    padding = "The weather in Lisbon is mild in spring. "
    assert read_reference([padding * 199]).link is Link.OWN
    assert read_reference([padding * 201]).points_back


def test_a_bare_question_is_told_from_one_that_tells_something() -> None:
    bare, telling = "When was he born?", "What was his first novel, the one about a girl with telekinesis?"
    assert read_reference([bare]).bare
    assert not read_reference([telling]).bare
