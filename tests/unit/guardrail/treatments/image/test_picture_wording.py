"""Prompts with names taken out or answered, and the texts that teach what a concept is."""

from __future__ import annotations

import pytest

from guardrail.treatments.image.anchors import anchor_of, answered, texts_of
from tests.fakes.concepts import concept

KINDS = {"blue": "object", "star": "object", "Van Gogh": "style", "Ann Author": "person"}


@pytest.mark.parametrize(
    ("name", "prompt", "wanted"),
    [
        ("blue", "a blue circle", "a circle"),
        ("blue", "A Blue circle and an orange square", "A circle and an orange square"),
        ("blue", "a blue orange", "an orange"),
        ("blue", "a bluebell", "a bluebell"),
        ("star", "a red star on a white background", "a red thing on a white background"),
        ("star", "an ugly star shape", "an ugly shape"),
        ("star", "two stars above a house", "two things above a house"),
        ("star", "a dog, a star, a cat", "a dog, a thing, a cat"),
        ("Van Gogh", "a house in the style of van gogh", "a house"),
        ("Van Gogh", "a house painted by Van Gogh, at night", "a house, at night"),
        ("Van Gogh", "a circle, Van Gogh style", "a circle"),
        ("Van Gogh", "a Van Gogh-style portrait of a dog", "a portrait of a dog"),
        ("Van Gogh", "Van Gogh's painting of an orange cat", "Painting of an orange cat"),
        ("Van Gogh", "a town in the style of Van Gogh and Monet", "a town in the style of Monet"),
        ("Van Gogh", "Van Gogh", ""),
        ("Ann Author", "a photo of Ann  Author in a garden", "a photo of a person in a garden"),
        ("Ann Author", "portrait of a smiling Ann Author", "portrait of a smiling person"),
        ("Ann Author", "Ann Author walking her dog", "A person walking her dog"),
    ],
)
def test_names_are_taken_out_in_clean_grammar(name: str, prompt: str, wanted: str) -> None:
    assert answered(prompt, [concept(name, KINDS[name])], {}) == wanted


def test_an_article_and_a_plural_are_made_to_fit_what_stands_there_instead() -> None:
    star = concept("star", substitute="apple")
    assert answered("a star and two stars", [star], {"star": "apple"}) == "an apple and two apples"


def test_places_that_only_a_detector_saw_are_answered_too() -> None:
    prompt = "a bl\u200bue circle"
    assert answered(prompt, [concept("blue", met=((2, 7),))], {"blue": "red"}) == "a red circle"


def test_where_names_overlap_the_longest_decides_and_an_anchor_is_not_read_as_a_name() -> None:
    blue, star = concept("blue"), concept("blue star")
    assert (
        answered("a blue star, a blue dog", [blue, star], {"blue": "star", "blue-star": "red dog"})
        == "a red dog, a star dog"
    )


def test_an_anchor_is_the_substitute_else_a_free_neighbour_else_nothing() -> None:
    assert anchor_of(concept("star", substitute="a moon", neighbors=["square"])) == "a moon"
    blue, red = concept("blue", neighbors=["Red", "green"]), concept("red")
    assert anchor_of(blue, [red]) == "green"
    assert {anchor_of(blue, turn=str(turn)) for turn in range(20)} == {"Red", "green"}
    assert anchor_of(concept("blue")) is None


@pytest.mark.parametrize("kind", ["person", "style", "work", "personal_data"])
def test_no_neighbour_is_made_to_stand_for_a_person_or_an_artist(kind: str) -> None:
    assert anchor_of(concept("Ann Author", kind, neighbors=["Bob Writer"])) is None


def test_teaching_texts_come_in_pairs_that_differ_and_hold_the_exemplars() -> None:
    blue = concept(
        "blue", aliases=["azure"], neighbors=["red"], exemplars=["a blue whale", "the open sea"], met=((0, 4),)
    )
    texts = texts_of(blue, "red")
    assert ("a blue whale", "a red whale") in texts.pairs
    assert all(one != other and "blue" not in other and "azure" not in other for one, other in texts.pairs)
    assert "a red circle" in texts.kept
    assert "" in texts.kept
    assert not any("open sea" in one for one, _ in texts.pairs)
