"""Labelled pictures for the models that look at pictures: scenes, and others that show none of the known values.

Half of all pictures have been through the VAE, as generated ones have. A label is a value's number, `NONE` for a picture
that shows no known value, or `UNTOLD` where nothing is certain. Shapes: N pictures, S side, A attributes.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from PIL import Image, ImageFilter

from benchmarks.shapes.pixels import through
from benchmarks.shapes.rendering import GROUNDS, SIDE, Figure, Pictures, figure_of, paint, placed, render_all
from benchmarks.shapes.scenes import Scene, draw_scene, draw_scenes
from benchmarks.shapes.vocabulary import ATTRIBUTES, Attribute, names

UNTOLD: Final = -100
"""What cross-entropy passes over."""
NEGATIVE_SHARE: Final = 0.25
_STRANGE: Final = ((255, 170, 190), (120, 75, 40), (40, 205, 215), (210, 180, 140))
"""Pink, brown, cyan, tan: no colours of the vocabulary."""

Made = tuple[Pictures, dict[Attribute, int]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Examples:
    """Pictures [N, S, S, 3] and labels [N, A]."""

    pictures: Pictures
    labels: np.ndarray[Any, np.dtype[np.int64]]


def none_of(attribute: Attribute) -> int:
    """The number of the class "none": one past the last value."""
    return len(names(attribute))


def labels_of(scene: Scene) -> list[int]:
    """A scene's labels [A]."""
    return [names(attribute).index(scene.value(attribute)) for attribute in ATTRIBUTES]


def examples(number: int, *, seed: int, vae: Any) -> Examples:
    """Scenes and negatives, drawn and in part decoded; the same for the same seed and VAE."""
    strange = round(number * NEGATIVE_SHARE)
    scenes = draw_scenes(number - strange, seed=f"examples {seed}", with_things=False)
    nothing = negatives(strange, seed=seed)
    pictures = np.concatenate([render_all(scenes, seed=seed), nothing.pictures])
    labels = np.concatenate([np.array([labels_of(scene) for scene in scenes], dtype=np.int64), nothing.labels])
    order = np.random.default_rng([seed, 1]).permutation(number)
    pictures, labels = pictures[order], labels[order]
    pictures[::2] = through(vae, pictures[::2])
    return Examples(pictures=pictures, labels=labels)


def negatives(number: int, *, seed: int) -> Examples:
    """Blank grounds, noise, blobs, colours and outlines that have no name here, in turn."""
    pictures = np.empty((number, SIDE, SIDE, 3), dtype=np.uint8)
    labels = np.full((number, len(ATTRIBUTES)), UNTOLD, dtype=np.int64)
    for place in range(number):
        kind = _KINDS[place % len(_KINDS)]
        pictures[place], told = kind(random.Random(f"negative {seed} {place}"), np.random.default_rng([seed, place, 9]))
        for attribute, label in told.items():
            labels[place, ATTRIBUTES.index(attribute)] = label
    return Examples(pictures=pictures, labels=labels)


def _nothing(*attributes: Attribute) -> dict[Attribute, int]:
    return {attribute: none_of(attribute) for attribute in attributes}


def _blank(rng: random.Random, noise: np.random.Generator) -> Made:
    ground = rng.choice(names("background"))
    grey = GROUNDS[ground] + noise.uniform(-8, 8)
    picture = np.clip(grey + noise.normal(0, 2, (SIDE, SIDE, 1)).repeat(3, axis=2), 0, 255).astype(np.uint8)
    told = _nothing("shape", "colour", "style", "position")
    return picture, {**told, "background": names("background").index(ground)}


def _noise(rng: random.Random, noise: np.random.Generator) -> Made:
    grain = rng.choice((1, 2, 4, 8))
    coarse = noise.integers(0, 256, (SIDE // grain, SIDE // grain, 3), dtype=np.uint8)
    picture = coarse.repeat(grain, axis=0).repeat(grain, axis=1)
    return picture, _nothing("shape", "colour", "style", "background", "position")


def _blob(rng: random.Random, noise: np.random.Generator) -> Made:
    """A smudge: a colour without a shape."""
    scene = dataclasses.replace(draw_scene(rng, with_things=False), style="plain")
    figure = dataclasses.replace(figure_of(scene, noise), outline_K2=_irregular(scene, noise))
    soft = Image.fromarray(paint(figure)).filter(ImageFilter.GaussianBlur(rng.uniform(2.0, 4.0)))
    told = _nothing("shape", "style")
    return np.asarray(soft), {**told, **_told(scene, "colour", "background")}


def _strange_colour(rng: random.Random, noise: np.random.Generator) -> Made:
    scene = draw_scene(rng, with_things=False)
    figure = figure_of(scene, noise)
    greys = [level for level in (30, 128, 225) if abs(level - figure.ground) > 60]
    grey = rng.choice(greys)
    colour = rng.choice((*_STRANGE, (grey, grey, grey), (grey, grey, grey)))
    picture = paint(_painted(figure, colour))
    return picture, {**_nothing("colour"), **_told(scene, "shape", "style", "background", "position")}


def _strange_outline(rng: random.Random, noise: np.random.Generator) -> Made:
    scene = draw_scene(rng, with_things=False)
    figure = dataclasses.replace(figure_of(scene, noise), outline_K2=_irregular(scene, noise))
    return paint(figure), {**_nothing("shape"), **_told(scene, "colour", "style", "background")}


_KINDS: Final[Sequence[Callable[[random.Random, np.random.Generator], Made]]] = (
    _blank,
    _noise,
    _blob,
    _strange_colour,
    _strange_outline,
)


def _told(scene: Scene, *attributes: Attribute) -> dict[Attribute, int]:
    return {attribute: names(attribute).index(scene.value(attribute)) for attribute in attributes}


def _painted(figure: Figure, colour: tuple[int, int, int]) -> Figure:
    return dataclasses.replace(figure, colour=(float(colour[0]), float(colour[1]), float(colour[2])))


def _irregular(scene: Scene, noise: np.random.Generator) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A closed line of ragged radius about the scene's place."""
    radii = noise.uniform(0.35, 1.15, 9)
    angles = np.sort(noise.uniform(0, 2 * np.pi, 9))
    ragged = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii[:, None]
    centre = figure_of(scene, noise).outline_K2.mean(axis=0)
    return placed(ragged, centre, radius=8.8, turn=0.0)
