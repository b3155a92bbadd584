"""Which phrases an entry gives, and which of them count alone."""

from __future__ import annotations

from typing import Any

import pytest

from retrieval.entry import ForgetEntry, parse_entry
from retrieval.text.automaton import PhraseAutomaton
from retrieval.text.phrases import FACT_PREFIX_CHARS, PhraseTag, cut_to_words, name_variants, phrases_of


def entry(**fields: Any) -> ForgetEntry:
    return parse_entry({"name": "Stephen King", **fields})


def found(forget: ForgetEntry, text: str) -> set[tuple[str, bool]]:
    automaton = PhraseAutomaton[PhraseTag]()
    for phrase in phrases_of("e1", forget):
        automaton.add(phrase.text, phrase.tag)
    return {
        (tag.kind, tag.always)
        for hit in automaton.find(text)
        for tag in hit.tags
        if tag.fits(text[hit.start : hit.end])
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Stephen King", "#StephenKing wrote it"),
        ("J. K. Rowling", "by JK Rowling."),
        ("J. K. Rowling", "by J.K. Rowling."),
        ("J. K. Rowling", "by @jkrowling"),
        ("JK Rowling", "by J. K. Rowling."),
        ("Conan O'Brien", "by Conan OBrien."),
        ("Jean-Paul Sartre", "by JeanPaul Sartre"),
        ("NASA", "at N.A.S.A. then"),
        ("555-123-4567", "call 5551234567"),
    ],
)
def test_a_name_is_found_in_its_common_spellings(name: str, text: str) -> None:
    assert found(entry(name=name), text) == {("name", True)}


def test_short_joined_names_are_not_made() -> None:
    assert "algo" not in name_variants("Al Go")


def test_names_of_scripts_without_spaces_have_no_variants() -> None:
    assert name_variants("村上 春樹") == []


@pytest.mark.parametrize(("name", "always"), [("It", False), ("Bo", True), ("U2", True), ("The Who", False)])
def test_weak_names_count_only_in_exact_case_and_those_of_stop_words_never_alone(name: str, always: bool) -> None:
    assert found(entry(name=name), f"about {name} now") == {("name", always)}
    assert found(entry(name=name), f"about {name.lower()} now") == set()


def test_invisible_characters_do_not_hide_an_exact_name() -> None:
    assert found(entry(name="It"), "about I\u200bt now") == {("name", False)}


@pytest.mark.parametrize(
    ("answer", "always"),
    [
        ("Portland, Maine", True),
        ("Bram Stoker Award", True),
        ("Carrie", False),
        ("New York", False),
        ("1947", False),
        ("AB12345", True),
        ("it is so", False),
        ("東京", False),
        ("東京都千代田区", True),
    ],
)
def test_an_answer_counts_alone_only_if_it_is_unmistakable(answer: str, always: bool) -> None:
    forget = entry(facts=[{"question": "What is it?", "answer": answer}])
    assert ("fact", always) in found(forget, f"It was {answer}.")


@pytest.mark.parametrize(
    ("statement", "always"),
    [("born 1947", True), ("Castlerock", True), ("Carrie", False), ("of the", False), ("XIV", False)],
)
def test_a_statement_counts_alone_from_two_words_or_eight_letters(statement: str, always: bool) -> None:
    assert ("fact", always) in found(entry(facts=[statement]), f"He said: {statement}!")


def test_a_long_fact_is_met_at_its_first_words() -> None:
    statement = "He was born in Portland and later on moved to a town called Durham in the state of Maine"
    prefix = cut_to_words(statement, FACT_PREFIX_CHARS)
    assert prefix == "He was born in Portland and later on moved to a town called"
    assert found(entry(facts=[statement]), f"Indeed. {prefix} something else") == {("fact", True)}


def test_a_single_long_word_is_kept_whole() -> None:
    assert cut_to_words("x" * 80 + " y", 64) == "x" * 80


def test_aliases_and_names_are_told_apart_and_repetitions_dropped() -> None:
    phrases = phrases_of("e1", entry(aliases=["Richard Bachman", "richard  bachman"]))
    kinds = [phrase.tag.kind for phrase in phrases]
    assert kinds == ["name", "name", "alias", "alias"]


def test_a_fact_without_words_gives_no_phrase() -> None:
    assert found(entry(facts=["..."]), "...") == set()
