"""The phrase automaton: whole texts, streams in any pieces, and removal."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.text.automaton import GAP_LIMIT_CHARS, PhraseAutomaton

Span = tuple[int, int]


def build(*phrases: str) -> PhraseAutomaton[str]:
    automaton = PhraseAutomaton[str]()
    for phrase in phrases:
        automaton.add(phrase, phrase)
    return automaton


def spans(automaton: PhraseAutomaton[str], text: str) -> list[Span]:
    return [(hit.start, hit.end) for hit in automaton.find(text)]


def test_a_phrase_is_found_with_its_original_place_and_tags() -> None:
    automaton = build("Stephen King")
    automaton.add("STEPHEN KING", "other")
    text = "I read Stéphen\u200b  KING's books"
    (hit,) = automaton.find(text)
    assert text[hit.start : hit.end] == "Stéphen\u200b  KING"
    assert hit.tags == ("Stephen King", "other")


def test_a_phrase_inside_a_longer_word_is_not_found() -> None:
    assert spans(build("King", "art"), "Kingston smart articles, kings") == []


def test_overlapping_and_nested_phrases_are_all_found() -> None:
    automaton = build("New York", "York Times", "New York Times", "Times")
    assert spans(automaton, "The New York Times") == [(4, 12), (4, 18), (8, 18), (13, 18)]


def test_scripts_without_spaces_are_found_inside_a_run() -> None:
    assert spans(build("孔子"), "他是孔子的學生") == [(2, 4)]


def test_words_far_apart_are_no_phrase() -> None:
    automaton = build("a b")
    assert spans(automaton, "a" + "." * GAP_LIMIT_CHARS + "b") == [(0, GAP_LIMIT_CHARS + 2)]
    assert spans(automaton, "a" + "." * (GAP_LIMIT_CHARS + 1) + "b") == []


def test_a_removed_phrase_is_found_no_more_and_leaves_the_others() -> None:
    automaton = build("Stephen King", "Stephen", "Stephen King Jr")
    automaton.remove("stephen  king", "Stephen King")
    assert spans(automaton, "Stephen King Jr") == [(0, 7), (0, 15)]
    assert len(automaton) == 2
    automaton.remove("Stephen King", "Stephen King")
    automaton.remove("never there", "x")
    assert len(automaton) == 2


def test_an_emptied_automaton_waits_for_nothing() -> None:
    automaton = build("Stephen King", "Stephen")
    for phrase in ("Stephen King", "Stephen"):
        automaton.remove(phrase, phrase)
    assert len(automaton) == 0
    assert automaton.scan("Stephen", final=False).pending_from == 7


def test_the_same_phrase_and_tag_count_once() -> None:
    automaton = build("J. K. Rowling", "...")
    automaton.add("j k rowling", "J. K. Rowling")
    assert len(automaton) == 1


@pytest.mark.parametrize(
    ("tail", "pending"),
    [
        ("by Ste", 3),
        ("by Stephen ", 3),
        ("by Stephen \u200b", 3),
        ("by Stephen Ki", 3),
        ("by Stephen King", 3),
        ("by Stephen Kin\u0301", 3),
        ("by Stephen Kong", 15),
        ("by Stephen King ", 16),
        ("by Stephens", 11),
        ("by S", 3),
        ("by ", 3),
        ("by", 2),
    ],
)
def test_only_what_may_become_a_phrase_waits(tail: str, pending: int) -> None:
    assert build("Stephen King").scan(tail, final=False).pending_from == pending


def test_a_phrase_at_the_open_end_is_certain_only_when_final() -> None:
    automaton = build("King")
    assert automaton.scan("King", final=False).hits == ()
    assert [hit.end for hit in automaton.scan("King", final=True).hits] == [4]
    assert automaton.scan("Kingston", final=False).pending_from == 8


def test_the_rest_of_a_released_word_begins_no_phrase() -> None:
    automaton = build("king")
    assert automaton.scan("king ", final=False, inside_word=True).hits == ()
    assert len(automaton.scan("-king ", final=False, inside_word=True).hits) == 1


def test_big_and_small_nodes_find_words_by_their_beginning() -> None:
    automaton = build(*(f"a w{number}x" for number in range(100)))
    assert automaton.scan("a w7", final=False).pending_from == 0
    automaton.add("a zebra", "late")
    assert automaton.scan("a zeb", final=False).pending_from == 0
    automaton.remove("a zebra", "late")
    assert automaton.scan("a zeb", final=False).pending_from == 5


def stream(automaton: PhraseAutomaton[str], chunks: list[str]) -> tuple[list[Span], str, int]:
    """What a consumer sees that releases all but `text[pending_from:]`: certain spans, released text, longest wait."""
    held, released, longest, inside = "", "", 0, False
    seen: set[Span] = set()
    for number, chunk in enumerate([*chunks, ""]):
        final = number == len(chunks)
        held += chunk
        scan = automaton.scan(held, final=final, inside_word=inside)
        for hit in scan.hits:
            seen.add((len(released) + hit.start, len(released) + hit.end))
        released += held[: scan.pending_from]
        held, inside = held[scan.pending_from :], scan.inside_word
        longest = max(longest, len(held))
    return sorted(seen), released + held, longest


WORDS = st.sampled_from(
    ["a", "ab", "abc", "b", "ba", "king", "kin", "ston", "é", "e\u0301", "孔", "子", "か", "か\u3099"]
)
JOINTS = st.sampled_from([" ", " ", " ", "", "-", ". ", "\u200b", " \u200b", "\u0301", "½", "\n\n", "\u00ad"])


@st.composite
def texts(draw: st.DrawFn, max_words: int) -> str:
    count = draw(st.integers(1, max_words))
    return "".join(draw(WORDS) + draw(JOINTS) for _ in range(count))


@settings(max_examples=400)
@given(
    phrases=st.lists(texts(4), min_size=1, max_size=8),
    text=texts(20),
    cuts=st.lists(st.integers(0, 60), max_size=20),
)
def test_a_stream_in_any_pieces_shows_exactly_the_phrases_of_the_whole_text(
    phrases: list[str], text: str, cuts: list[int]
) -> None:
    automaton = build(*phrases)
    places = sorted({0, *(cut for cut in cuts if cut < len(text)), len(text)})
    chunks = [text[start:end] for start, end in pairwise(places)]
    seen, released, _ = stream(automaton, chunks)
    assert seen == spans(automaton, text)
    assert released == text


@settings(max_examples=300)
@given(
    phrases=st.lists(st.from_regex(r"[ab]{1,3}( [ab]{1,3}){0,3}", fullmatch=True), min_size=1, max_size=8),
    text=st.from_regex(r"([ab]{1,4} ){0,30}[ab]?", fullmatch=True),
)
def test_nothing_is_released_before_it_is_certain_and_little_is_held(phrases: list[str], text: str) -> None:
    automaton = build(*phrases)
    held, released, inside = "", 0, False
    hits = spans(automaton, text)
    shown: set[Span] = set()
    for char in text:
        held += char
        scan = automaton.scan(held, final=False, inside_word=inside)
        cut = released + scan.pending_from
        shown |= {(released + hit.start, released + hit.end) for hit in scan.hits}
        for start, end in hits:
            assert cut <= start or (start, end) in shown
        held, released, inside = held[scan.pending_from :], cut, scan.inside_word
        assert len(held) <= max(map(len, phrases)) + 1


def test_find_agrees_with_a_regular_expression_on_plain_text() -> None:
    phrases = ["red fox", "fox", "the red", "lazy dog sleeps"]
    text = "The red fox and the lazy dog; a red foxhound. The lazy dog sleeps, FOX."
    expected = sorted(
        (match.start(), match.start() + len(phrase))
        for phrase in phrases
        for match in re.finditer(rf"(?=\b{re.escape(phrase)}\b)", text, re.IGNORECASE)
    )
    assert spans(build(*phrases), text) == expected
