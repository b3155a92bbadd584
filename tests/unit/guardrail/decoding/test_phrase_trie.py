"""Following phrases through a text finds what the phrase automaton of retrieval finds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.decoding.phrase_trie import ROOT, PhraseTrie, compile_phrases, symbols_of
from retrieval.text.automaton import PhraseAutomaton

PHRASES = ("New York", "Ann", "José", "東京", "New York City", "がん", "Ann A", "กา")
PARTS = st.sampled_from(
    (*"aAnNeEwWyYoOrRkKjJsS éÉ-_'東京都がんかกา\u200b\u0301\u3099½æ", "New", "York", "Ann", "José", "City", " ", "東京")
)
START = frozenset((ROOT,))


def whole(text: str) -> bool:
    return PhraseTrie(PHRASES).follow(START, symbols_of(text)).complete


@settings(deadline=None)
@given(st.lists(PARTS, max_size=12).map("".join))
def test_a_phrase_is_whole_where_the_automaton_finds_it(text: str) -> None:
    automaton = PhraseAutomaton[str]()
    for phrase in PHRASES:
        automaton.add(phrase, phrase)
    assert whole(text) == bool(automaton.find(text)), text


@settings(deadline=None)
@given(st.lists(PARTS, max_size=12).map("".join), st.integers(0, 12))
def test_a_text_may_be_followed_in_two_parts(text: str, cut: int) -> None:
    trie = PhraseTrie(PHRASES)
    first = trie.follow(START, symbols_of(text[:cut]))
    second = trie.follow(first.places, symbols_of(text[cut:]))
    at_once = trie.follow(START, symbols_of(text))
    assert second.places == at_once.places
    # A phrase that stands whole at the cut may be a longer word in the whole text.
    assert second.complete or first.complete or not at_once.complete
    assert at_once.complete or not second.complete


@pytest.mark.parametrize(
    "text",
    ["new york", "NEW-YORK", "New_York", "New  \n York", "Néw Yörk", "“New”–York", "N\u200bew York", "N\u0435w York"],
)
def test_case_accents_and_what_stands_between_words_make_no_difference(text: str) -> None:
    assert whole(text)


@pytest.mark.parametrize("text", ["New Yorker", "Annual", "Anew York", "New Zealand", "Joann", "東"])
def test_other_words_hold_no_phrase(text: str) -> None:
    assert not whole(text)


def test_the_share_is_that_of_the_shortest_phrase() -> None:
    trie = PhraseTrie(["New York", "New York City"])
    (york,) = trie.follow(START, symbols_of("new yor")).places
    (city,) = trie.follow(START, symbols_of("new york c")).places
    assert trie.share(york) == 6 / 7
    assert trie.share(city) == 8 / 11
    assert trie.share(ROOT) == 0.0


def test_phrases_without_words_are_nothing() -> None:
    trie = PhraseTrie(["", "…", "--"])
    assert not trie.follow(START, symbols_of("… -- anything")).complete
    assert list(trie.first_symbols()) == []


def test_the_same_phrases_are_compiled_once() -> None:
    assert compile_phrases(("One", "Two")) is compile_phrases(("One", "Two"))
