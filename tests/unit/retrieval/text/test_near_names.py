"""Near spellings: slips are forgiven, other people are not mistaken."""

from __future__ import annotations

import pytest

from retrieval.text.name_words import NameWords, slips_between
from retrieval.text.near_names import NearNames
from retrieval.text.phrases import PhraseTag
from retrieval.text.readings import unknown_places
from retrieval.text.views import normalise

NAMES = ("stephen king", "warren buffett", "beyonce", "leonardo da vinci", "jay z")


def near(text: str, *names: str) -> set[str]:
    index = NearNames()
    for name in names or NAMES:
        index.add(tuple(name.split()), PhraseTag(entry_id=name, kind="name"))
    view = normalise(text)
    return {tag.entry_id for found in index.find(text, view, unknown_places(view)) for tag in found.tags}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Stehpen Knig", "stephen king"),
        ("Stphen Kinng", "stephen king"),
        ("Stephen Kihg", "stephen king"),
        ("stephen kings' novels", ""),
        ("Warrne Bufett", "warren buffett"),
        ("Bejonce", "beyonce"),
        ("Lenoardo da Vimci", "leonardo da vinci"),
        ("Jayy-Z", "jay z"),
        ("Jayy Z", ""),
        ("Stephen King", ""),
        ("Stephen Kong", ""),
        ("Stephen and", ""),
        ("Stephen went. King", ""),
        ("beyond", ""),
        ("Stehpen? King!", ""),
    ],
)
def test_a_slip_or_two_are_forgiven_and_known_words_are_not_slips(text: str, name: str) -> None:
    assert near(text) == ({name} if name else set())


def test_a_possessive_without_its_apostrophe_counts() -> None:
    assert near("Warren Buffetts money") == {"warren buffett"}


def test_all_parts_of_a_name_must_fit() -> None:
    assert near("Stehpen Hawking and Wrren Beatty") == set()


def test_words_are_found_by_one_or_two_slips_and_forgotten_when_removed() -> None:
    words = NameWords()
    words.add("stephen")
    words.add("stephen")
    assert words.near("stpehen") == words.near("sthpen") == ("stephen",)
    words.remove("stephen")
    assert words.near("stpehen") == ("stephen",)
    words.remove("stephen")
    assert words.near("stpehen") == ()
    assert "stephen" not in words


def test_slips_are_counted_up_to_what_a_word_may_hold() -> None:
    assert slips_between("kign", "king") == 1
    assert slips_between("kgni", "king") is None
    assert slips_between("xx", "xi") is None
    assert slips_between("uqffett", "buffett") is None  # two slips, and another beginning
    assert slips_between("bfufet", "buffett") == 2


def test_a_name_with_another_number_is_somebody_else() -> None:
    assert near("tell me of Person Numeor1x", "person numero1x") == {"person numero1x"}
    assert near("tell me of Person Numero10x", "person numero1x") == set()
    assert near("tell me of Person Numero2x", "person numero1x") == set()
