"""Which tokens a restriction bans and which it makes dearer."""

from __future__ import annotations

import math

import pytest

from guardrail.decoding.phrase_bans import BANNED, Restriction, State
from guardrail.decoding.vocabulary import Vocabulary

PIECES = (
    " Ann", "Ann", " An", "An", "n", "nual", " Annual", "'s", " New", " York", "New York", " Yor", "k", "-", "  ", "a Ann",
    "Ann.", "Anna", " Jos", "é", "\ue000", "e", "Zealand", " ", "The", "york", "東", "京", "x",
)  # fmt: skip
LEAD, END, SPECIAL = len(PIECES), len(PIECES) + 1, len(PIECES) + 2
TOKENS = {piece: token for token, piece in enumerate(PIECES)}


def vocabulary() -> Vocabulary:
    pieces = {token: piece.encode() for piece, token in TOKENS.items()}
    pieces[TOKENS["\ue000"]] = b"\xa9"  # the second half of "é"
    pieces[LEAD] = b"\xc3"  # the first
    return Vocabulary(pieces, ending=(END,), silent=(SPECIAL,))


VOCABULARY = vocabulary()


def restriction(*phrases: str, strength: float = 5.0) -> Restriction:
    return Restriction(phrases=phrases, vocabulary=VOCABULARY, strength=strength)


def after(limits: Restriction, *pieces: str | int) -> State:
    state = limits.start
    for piece in pieces:
        state = limits.advance(state, TOKENS[piece] if isinstance(piece, str) else piece)
    return state


def banned(limits: Restriction, *pieces: str | int) -> set[str | int]:
    found = limits.penalties(after(limits, *pieces))
    return {PIECES[token] if token < len(PIECES) else token for token, loss in found.items() if loss == BANNED}


def dearer(limits: Restriction, *pieces: str) -> dict[str, float]:
    found = limits.penalties(after(limits, *pieces))
    return {PIECES[token]: loss for token, loss in found.items() if loss != BANNED}


def test_tokens_that_hold_a_whole_phrase_are_banned() -> None:
    assert banned(restriction("Ann")) == {" Ann", "Ann", "a Ann", "Ann."}


def test_a_word_that_goes_on_is_another_word() -> None:
    assert {" Annual", "Anna"}.isdisjoint(banned(restriction("Ann")))
    # Inside a word, only a token that begins a new one can write the name.
    assert banned(restriction("Ann"), "x") == {" Ann", "a Ann"}


def test_the_letter_that_would_leave_the_name_standing_is_banned_and_longer_words_are_not() -> None:
    assert banned(restriction("Ann"), " An") == {"n", " Ann", "a Ann"}
    assert TOKENS["nual"] not in restriction("Ann").penalties(after(restriction("Ann"), " An"))


@pytest.mark.parametrize("between", [("-",), ("  ",), ("-", "  "), ("  ", "-")])
def test_words_of_a_phrase_may_be_parted_by_anything_that_is_no_word(between: tuple[str, ...]) -> None:
    assert banned(restriction("New York"), " New", *between) == {"york", " York", "New York"}


def test_a_phrase_is_banned_however_it_is_cut_into_tokens() -> None:
    limits = restriction("New York")
    assert banned(limits) == {"New York"}
    assert banned(limits, " New") == {" York"}  # "NewNew York" is another name
    assert banned(limits, " New", " Yor") == {"k"}


def test_a_half_of_a_character_that_completes_a_phrase_is_banned() -> None:
    limits = restriction("José")
    assert banned(limits, " Jos") == {"é", "e"}
    assert banned(limits, " Jos", LEAD) == {"\ue000", SPECIAL}


def test_scripts_without_spaces_are_compared_by_character() -> None:
    assert banned(restriction("東京"), "x", "東") == {"京"}
    assert banned(restriction("東京"), "x") == set()


def test_a_special_token_may_be_shown_or_not_and_neither_way_writes_the_phrase() -> None:
    assert "n" in banned(restriction("Ann"), " An", SPECIAL)
    assert "york" in banned(restriction("New York"), " New", SPECIAL)


def test_going_on_with_a_phrase_costs_more_the_more_of_it_is_written() -> None:
    limits = restriction("New York City")
    assert dearer(limits, " New")[" Yor"] == pytest.approx(-5 * (6 / 11) ** 2)
    assert dearer(limits, " New")[" York"] == pytest.approx(-5 * (7 / 11) ** 2)
    assert dearer(restriction("New York City", strength=2.0), " New")[" York"] == pytest.approx(-2 * (7 / 11) ** 2)


def test_a_small_beginning_costs_nothing() -> None:
    assert dearer(restriction("Ann", "The Who", "New York"), "-") == {"The": pytest.approx(-5 / 4)}
    assert "An" not in dearer(restriction("Ann"))


def test_another_word_behind_a_shared_first_word_costs_nothing() -> None:
    assert TOKENS["Zealand"] not in restriction("New York").penalties(after(restriction("New York"), " New", " "))


def test_without_strength_only_whole_phrases_are_stopped() -> None:
    found = restriction("New York City", "Ann", strength=0.0).penalties(after(restriction("New York City"), " New"))
    assert set(found.values()) == {BANNED}


def test_the_end_of_the_text_and_unknown_tokens_are_never_named() -> None:
    limits = restriction("Ann", "x", "New York", "東京", "José")
    for pieces in ((), (" An",), (" New",), (" Jos", LEAD), (END,), (9999,)):
        found = limits.penalties(after(limits, *pieces))
        assert END not in found
        assert set(found) <= set(range(SPECIAL + 1))


def test_no_penalty_ever_makes_a_token_likelier() -> None:
    limits = restriction("New York City", "Annual")
    assert all(-math.inf <= loss < 0 for loss in limits.penalties(after(limits, " New")).values())


def test_the_same_state_gives_the_same_mapping() -> None:
    limits = restriction("New York")
    assert limits.penalties(after(limits, " New")) is limits.penalties(after(limits, "x", " ", " New"))


def test_nothing_is_restricted_without_phrases() -> None:
    assert restriction().penalties(State()) == {}
    assert restriction("…").penalties(State()) == {}
