"""What a request asks, in few words."""

from __future__ import annotations

from guardrail.asked import LIMIT_CHARS, asked_words
from guardrail.decision import Passage, Role

PAGE = "The town of Ven lies by the sea and has a wall of stone. " * 12


def turns(*said: tuple[Role, str]) -> list[Passage]:
    return [
        Passage(path=("messages", place, "content"), role=role, text=text) for place, (role, text) in enumerate(said)
    ]


def test_it_is_the_last_user_turn() -> None:
    passages = turns(
        (Role.SYSTEM, "Be kind."),
        (Role.USER, "Hello there, how are you?"),
        (Role.ASSISTANT, "Fine."),
        (Role.USER, "I read a novel."),
        (Role.USER, "Who wrote it?"),
    )
    assert asked_words(passages) == "I read a novel. Who wrote it?"


def test_a_pasted_page_is_left_out_wherever_the_question_stands() -> None:
    for text in (f"Where does it lie?\n\n{PAGE}", f"{PAGE}\n\nWhere does it lie?"):
        assert asked_words(turns((Role.USER, text))) == "Where does it lie?"


def test_of_a_long_turn_the_last_sentences_are_kept_whole() -> None:
    text = " ".join(f"I was told that number {number} counts." for number in range(60)) + " What is it?"
    words = asked_words(turns((Role.USER, text)))
    assert len(words) <= LIMIT_CHARS
    assert words.startswith("I was told")
    assert words.endswith("number 59 counts. What is it?")


def test_there_are_always_words_where_someone_asks() -> None:
    assert (
        asked_words(turns((Role.USER, PAGE))).startswith("The town") or len(asked_words(turns((Role.USER, PAGE)))) > 0
    )
    assert asked_words(turns((Role.USER, "x" * 5_000))) == "x" * LIMIT_CHARS
    assert asked_words([]) == ""
