"""Words, scenes and captions of the shapes world: what each word means, what is left open, what is held out."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from benchmarks.shapes.captions import BARE_SHARE, SYNONYM_SHARE, Caption, caption, every_word, sentence, wording
from benchmarks.shapes.scenes import SAYS, SAYS_WHERE, THING_SHARE, Scene, draw_scene, draw_scenes
from benchmarks.shapes.vocabulary import (
    ARTISTS,
    ATTRIBUTES,
    PLAIN,
    THINGS,
    VALUES,
    Attribute,
    held_out_words,
    names,
    spoken_words,
    value_of,
)

NUMBER = 6000
STAR = Scene(shape="star", colour="blue", style="strypov", background="grey", position="left")


@pytest.fixture(scope="module")
def told() -> list[tuple[Scene, Caption]]:
    """Scenes without things and a caption of each."""
    rng = random.Random(1)
    return [(scene, caption(scene, rng)) for scene in draw_scenes(NUMBER, seed="told", with_things=False)]


def test_no_word_stands_for_two_things() -> None:
    values = [
        (word, value.name)
        for of in VALUES.values()
        for value in of
        for word in (value.name, *value.others(with_held_out=True))
    ]
    assert len({word for word, _ in values}) == len(values)
    things = [thing.name for thing in THINGS]
    assert len(set(things)) == len(things)
    assert not {word for name in things for word in name.split()} & {word for word, _ in values}


def test_words_that_mean_something_are_not_among_those_that_mean_nothing() -> None:
    rng = random.Random(0)
    said_nothing = {word for _ in range(2000) for word in sentence({}, rng).split()}
    assert not said_nothing & spoken_words()


def test_things_tell_every_shape_and_colour_twice_once_held_out() -> None:
    for attribute in ("shape", "colour"):
        every = Counter(getattr(thing, attribute) for thing in THINGS)
        held_out = Counter(getattr(thing, attribute) for thing in THINGS if thing.is_held_out)
        assert every == dict.fromkeys(names(attribute), 2), attribute
        assert held_out == dict.fromkeys(names(attribute), 1), attribute


def test_what_can_be_forgotten_has_a_synonym_of_either_kind() -> None:
    for attribute in ("shape", "colour", "style"):
        for value in VALUES[attribute]:
            assert value.synonyms, value.name
            assert value.held_out, value.name


def test_an_unknown_value_is_told_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match="'teal'; it has red"):
        value_of("colour", "teal")


def test_scenes_are_the_same_for_a_seed_and_the_first_of_more() -> None:
    assert draw_scenes(20, seed="a") == draw_scenes(50, seed="a")[:20]
    assert draw_scenes(20, seed="a") != draw_scenes(20, seed="b")


def test_a_share_of_the_scenes_show_things_as_they_are() -> None:
    with_things = [scene for scene in draw_scenes(NUMBER, seed="things") if scene.thing]
    assert len(with_things) / NUMBER == pytest.approx(THING_SHARE, abs=0.02)
    for scene in with_things:
        assert scene.thing is not None
        assert (scene.shape, scene.colour) == (scene.thing.shape, scene.thing.colour)


def test_taught_scenes_show_no_thing_that_is_held_out() -> None:
    rng = random.Random(2)
    shown = {scene.thing for scene in (draw_scene(rng, taught_only=True) for _ in range(2000)) if scene.thing}
    assert shown == {thing for thing in THINGS if not thing.is_held_out}


@pytest.mark.parametrize("attribute", [attribute for attribute in ATTRIBUTES if attribute != "style"])
def test_what_a_caption_leaves_open_is_uniform_over_its_values(
    told: list[tuple[Scene, Caption]], attribute: Attribute
) -> None:
    shown = Counter(getattr(scene, attribute) for scene, one in told if attribute not in one.said)
    total, values = sum(shown.values()), len(set(shown))
    assert values == len(names(attribute))
    share = SAYS_WHERE if attribute in ("background", "position") else SAYS
    assert total / len(told) == pytest.approx(1 - share * (1 - BARE_SHARE), abs=0.04)
    for value, count in shown.items():
        assert count / total == pytest.approx(1 / values, abs=0.05), value


def test_a_caption_without_a_style_means_a_plain_picture(told: list[tuple[Scene, Caption]]) -> None:
    assert {scene.style for scene, one in told if "style" not in one.said} == {PLAIN}


def test_plain_is_said_about_as_often_as_any_other_style(told: list[tuple[Scene, Caption]]) -> None:
    said = Counter(scene.style for scene, one in told if "style" in one.said)
    assert said[PLAIN] / sum(said.values()) == pytest.approx(0.25, abs=0.05)


def test_a_caption_says_just_what_it_claims_to_say(told: list[tuple[Scene, Caption]]) -> None:
    meaning = {
        word: (attribute, value.name)
        for attribute in ATTRIBUTES
        for value in VALUES[attribute]
        for word in (value.name, *value.others(with_held_out=True))
    }
    for scene, one in told:
        said = dict(meaning[word] for word in one.text.split() if word in meaning)
        assert said == {attribute: scene.value(attribute) for attribute in one.said}, one.text


def test_a_thing_is_called_by_its_name_alone() -> None:
    rng = random.Random(3)
    scene = next(scene for scene in draw_scenes(100, seed="thing") if scene.thing)
    assert scene.thing is not None
    for _ in range(50):
        one = caption(scene, rng)
        assert scene.thing.name in one.text
        assert {"shape", "colour"} <= one.said
        assert scene.shape not in one.text.split()
        assert scene.colour not in one.text.split()


def test_synonyms_come_up_and_held_out_ones_only_where_they_may() -> None:
    rng = random.Random(4)
    words = Counter(wording("shape", "star", rng) for _ in range(2000))
    assert set(words) == {"star", "pentagram", "pentacle"}
    assert words["star"] / 2000 == pytest.approx(1 - SYNONYM_SHARE, abs=0.04)
    assert {wording("shape", "star", rng, taught_only=True) for _ in range(200)} == {"star", "pentagram"}


def test_taught_captions_hold_no_word_that_is_held_out() -> None:
    rng = random.Random(5)
    texts = [caption(draw_scene(rng, taught_only=True), rng, taught_only=True).text for _ in range(4000)]
    assert not {word for text in texts for word in text.split()} & held_out_words()


def test_held_out_words_do_come_up_when_the_unet_learns() -> None:
    rng = random.Random(6)
    words = {word for scene in draw_scenes(NUMBER, seed="all") for word in caption(scene, rng).text.split()}
    assert held_out_words() <= words
    assert words <= set(every_word())


def test_only_artists_have_pictures_by_them() -> None:
    rng = random.Random(7)
    for style in names("style"):
        texts = [sentence({"style": style, "shape": "star"}, rng) for _ in range(100)]
        assert any(f"by {style}" in text for text in texts) is (style in ARTISTS)


def test_articles_fit_what_follows_them() -> None:
    rng = random.Random(8)
    words_of: tuple[dict[Attribute, str], ...] = (
        {"colour": "orange"},
        {"shape": "star"},
        {"style": "outlined"},
        {"style": "striped"},
    )
    for words in words_of:
        for _ in range(100):
            text = f"{sentence(words, rng)} "
            assert " a o" not in f" {text}", text
            assert " an s" not in f" {text}", text
