"""Drawn scenes: every attribute shows, styles differ, and the same seed and place give the same picture."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.shapes.rendering import CENTRES, COLOURS, GROUNDS, SIDE, Pictures, outline, render, render_all
from benchmarks.shapes.scenes import Scene, draw_scenes
from benchmarks.shapes.vocabulary import names

PLAIN_DISC = Scene(shape="circle", colour="blue", style="plain", background="grey", position="centre")


def drawn(seed: int = 0, **changed: Any) -> NDArray[np.float64]:
    """One picture as numbers that can be taken from one another."""
    return render(dataclasses.replace(PLAIN_DISC, **changed), np.random.default_rng(seed)).astype(np.float64)


def figure_of(picture: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where the picture is not its ground, which a corner tells."""
    differs: NDArray[np.bool_] = np.abs(picture - picture[0, 0]).max(axis=-1) > 40
    return differs


def share_near(picture: NDArray[np.float64], colour: tuple[int, int, int]) -> float:
    """Of the figure's pixels."""
    figure = picture[figure_of(picture)]
    return float((np.abs(figure - np.array(colour)).max(axis=-1) < 45).mean())


def angle_of(colour: NDArray[np.float64]) -> float:
    """Of the hue, in turns."""
    red, green, blue = colour
    return float(np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue) / (2 * np.pi)) % 1


def test_pictures_are_the_same_for_seed_and_place_whatever_stands_beside_them() -> None:
    scenes = draw_scenes(6, seed="here")
    pictures = render_all(scenes, seed=3)
    assert pictures.shape == (6, SIDE, SIDE, 3)
    assert pictures.dtype == np.uint8
    assert np.array_equal(pictures[:4], render_all(scenes[:4], seed=3))
    assert not np.array_equal(pictures, render_all(scenes, seed=4))


def test_one_scene_is_drawn_in_many_ways() -> None:
    pictures = render_all([PLAIN_DISC] * 5, seed=0)
    assert len({picture.tobytes() for picture in pictures}) == 5


@pytest.mark.parametrize("colour", names("colour"))
@pytest.mark.parametrize("background", names("background"))
def test_colour_and_ground_show(colour: str, background: str) -> None:
    picture = drawn(colour=colour, background=background)
    assert share_near(picture, COLOURS[colour]) > 0.7
    assert picture[0, 0].mean() == pytest.approx(GROUNDS[background], abs=10)
    assert np.ptp(picture[0, 0]) == 0


@pytest.mark.parametrize("style", names("style"))
@pytest.mark.parametrize("background", names("background"))
def test_the_colour_of_a_figure_is_plain_to_see_in_every_style(style: str, background: str) -> None:
    for colour, shape in itertools.product(names("colour"), ("circle", "square", "heart")):
        picture = drawn(style=style, colour=colour, shape=shape, background=background)
        shares = {name: share_near(picture, value) for name, value in COLOURS.items()}
        assert max(shares, key=lambda name: shares[name]) == colour, shares
        assert shares[colour] > 0.2, shares


def test_colours_lie_far_apart() -> None:
    hues = sorted(angle_of(np.array(colour, dtype=np.float64)) for colour in COLOURS.values())
    gaps = np.diff([*hues, hues[0] + 1])
    assert min(gaps) > 0.06


@pytest.mark.parametrize("position", names("position"))
def test_a_figure_lies_where_it_should_and_within_the_picture(position: str) -> None:
    for shape, seed in itertools.product(names("shape"), range(3)):
        figure = figure_of(drawn(seed, position=position, shape=shape))
        y, x = np.nonzero(figure)
        nearest = min(
            CENTRES,
            key=lambda name: (x.mean() + 0.5 - CENTRES[name][0]) ** 2 + (y.mean() + 0.5 - CENTRES[name][1]) ** 2,
        )
        assert nearest == position
        assert 60 < figure.sum() < 400


def test_shapes_differ_more_than_two_drawings_of_one() -> None:
    places = {shape: [figure_of(drawn(seed, shape=shape)) for seed in range(4)] for shape in names("shape")}

    def differing(one: str, other: str) -> float:
        return float(np.mean([(a ^ b).sum() for a, b in zip(places[one][:2], places[other][2:], strict=True)]))

    for shape in names("shape"):
        others = [differing(shape, other) for other in names("shape") if other != shape]
        assert differing(shape, shape) < min(others)


def test_a_cross_has_four_arms_of_one_width() -> None:
    corners = outline("cross")
    assert len(corners) == 12
    steps = np.diff(np.concatenate([corners, corners[:1]]), axis=0)
    assert (np.abs(steps) < 1e-9).any(axis=1).all(), "every edge runs along or across"
    turned = corners @ np.array([[0, 1], [-1, 0]])
    assert {tuple(point) for point in turned.round(6)} == {tuple(point) for point in corners.round(6)}


def tones_along(picture: NDArray[np.float64], colour: str) -> NDArray[np.float64]:
    """How far each pixel of the figure is from its own colour."""
    away: NDArray[np.float64] = np.abs(picture - np.array(COLOURS[colour])).max(axis=-1)
    return away


@pytest.mark.parametrize("background", names("background"))
def test_textures_stand_out_and_a_plain_figure_has_none(background: str) -> None:
    middle = np.hypot(*(np.mgrid[0:SIDE, 0:SIDE] + 0.5 - SIDE / 2)) < 6
    spread: dict[str, Any] = {}
    for style in ("plain", "strypov", "dottini"):
        picture = drawn(style=style, background=background, colour="red")
        spread[style] = float(tones_along(picture, "red")[middle].std())
    assert spread["plain"] < 5
    assert min(spread["strypov"], spread["dottini"]) > 30


def test_stripes_run_one_way_and_dots_do_not() -> None:
    """Along a stripe little changes, across it much; between dots both ways alike."""
    ways = {}
    for style in ("strypov", "dottini"):
        away = tones_along(drawn(style=style, shape="square"), "blue")[11:21, 11:21]
        along, across = np.abs(away[1:, :-1] - away[:-1, 1:]).mean(), np.abs(away[1:, 1:] - away[:-1, :-1]).mean()
        ways[style] = max(along, across) / min(along, across)
    assert ways["strypov"] > 3
    assert ways["dottini"] < 1.5


def test_an_outline_is_hollow() -> None:
    hollow, full = drawn(style="contorri"), drawn()
    assert np.abs(hollow[14:18, 14:18] - hollow[0, 0]).max() < 5
    assert figure_of(hollow).sum() < 0.75 * figure_of(full).sum()


def test_a_second_tone_never_looks_like_a_hole() -> None:
    for style, background in itertools.product(("strypov", "dottini"), names("background")):
        picture = drawn(style=style, background=background, shape="square")
        inside = picture[11:21, 11:21]
        assert np.abs(inside - picture[0, 0]).max(axis=-1).min() > 40, (style, background)


def test_pictures_hold_whole_bytes() -> None:
    picture: Pictures = render(PLAIN_DISC, np.random.default_rng(0))
    assert picture.dtype == np.uint8
