"""Prompts with names taken out or answered, and the texts that teach what a concept is."""

from __future__ import annotations

import gc
import time
from dataclasses import replace

import pytest

from guardrail.treatments.image import anchors
from guardrail.treatments.image.anchors import anchor_of, answered, texts_of
from guardrail.treatments.image.wording import MOST_MENDED
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


@pytest.mark.parametrize(
    "prompt",
    [
        f"strypov{' ' * 30_000}x",
        f"strypov{',' * 30_000}x",
        f"strypov{' and' * 7_500} x",
        "strypov, " * 3_400,
        "strypov and a " * 2_200,
        f"{'strypov by in the style of ' * 30}{' a' * 15_000}",
    ],
    ids=["spaces", "commas", "ands", "list of names", "names with words between", "mended and long"],
)
def test_no_prompt_of_any_length_takes_long(prompt: str) -> None:
    begun = time.perf_counter()
    left = answered(prompt, [concept("strypov", "style")], {})
    assert time.perf_counter() - begun < 1.5
    assert "strypov" not in left


def test_more_names_than_anybody_writes_give_way_without_clean_grammar() -> None:
    names = "a star, " * (MOST_MENDED + 1)
    assert answered(f"{names}a dog", [concept("star")], {"star": "moon"}).count("a moon,") == MOST_MENDED + 1
    cut = answered(f"{names}a dog", [concept("star")], {})
    assert cut.endswith("a dog")
    assert "star" not in cut


def test_a_neighbour_that_is_asked_to_be_forgotten_too_gives_way_to_the_next_one_only_there() -> None:
    blue = concept("blue", neighbors=["red", "green", "yellow"])
    usual = anchor_of(blue)
    assert usual is not None
    assert anchor_of(blue, [concept("another")]) == usual
    assert anchor_of(blue, [concept(usual)]) not in (usual, None)


def test_teaching_texts_are_remembered_as_long_as_the_entry_is_there_and_no_longer() -> None:
    before, blue = len(anchors._known), concept("blue", neighbors=["red"])
    assert texts_of(blue, "red") is texts_of(replace(blue, met=((0, 4),)), "red")
    assert texts_of(blue, None) != texts_of(blue, "red")
    assert texts_of(replace(blue, phrases=("azure",)), "red") != texts_of(blue, "red")
    assert len(anchors._known) == before + 1
    del blue
    gc.collect()
    assert len(anchors._known) <= before


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


def test_what_names_it_is_no_ordinary_prompt_that_must_stay() -> None:
    red = concept("red")
    assert any("red" in text for text in texts_of(concept("blue"), None).kept)
    assert not any("red" in text.split() for text in texts_of(red, None).kept)
