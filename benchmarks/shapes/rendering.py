"""Scenes as pictures of 32 x 32 pixels: polygons, tones and textures, with a little chance in every one.

A figure's second tone moves away from its ground, so that stripes and dots never look like holes. It does not know
captions or models. Lengths in pixels, colours RGB 0..255. Shapes: N pictures, S side, K points of an outline.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from benchmarks.shapes.scenes import Scene

SIDE: Final = 32
Pictures: TypeAlias = NDArray[np.uint8]
"""uint8 [N, S, S, 3], or one of them [S, S, 3]."""
Points: TypeAlias = NDArray[np.float64]
"""[K, 2], x to the right and y down."""

COLOURS: Final[Mapping[str, tuple[int, int, int]]] = {
    "red": (205, 15, 30),
    "green": (20, 150, 55),
    "blue": (25, 70, 225),
    "yellow": (250, 225, 30),
    "purple": (155, 30, 185),
    "orange": (250, 130, 10),
}
GROUNDS: Final[Mapping[str, int]] = {"white": 243, "grey": 128, "black": 14}
CENTRES: Final[Mapping[str, tuple[float, float]]] = {
    "centre": (16.0, 16.0),
    "left": (10.5, 16.0),
    "right": (21.5, 16.0),
    "top": (16.0, 10.5),
    "bottom": (16.0, 21.5),
}
_FINE: Final = 4
"""Drawn at so many times the size, then averaged."""
_RADIUS: Final = (8.2, 9.4)
_SHIFT: Final = 0.8
_TURN: Final = math.radians(6)
_TINT, _SHADE = 12, 8
_STROKE: Final = 2.6
_STRIPES: Final = 6.4
"""From one stripe to the next; finer ones do not come through four-pixel latents."""
_DOTS: Final = 6.4
_DOT: Final = 2.2
_DRIFT: Final = 0.8
"""How far a texture may lie from its figure's middle; of any phase at all a small model draws the mean, which is plain."""
_LIGHTER: Final = 0.8
_DARKER: Final = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """What is painted: an outline, its colour and texture, a ground. `anchor`: where a stripe or a dot has its middle."""

    outline_K2: Points
    colour: tuple[float, float, float]
    style: str
    ground: float
    anchor: tuple[float, float] = (SIDE / 2, SIDE / 2)
    tilt: float = math.pi / 4


def render(scene: Scene, rng: np.random.Generator) -> Pictures:
    """One picture [S, S, 3]."""
    return paint(figure_of(scene, rng))


def render_all(scenes: Sequence[Scene], *, seed: int) -> Pictures:
    """Pictures [N, S, S, 3]; each depends on the seed, its place and its scene alone."""
    out = np.empty((len(scenes), SIDE, SIDE, 3), dtype=np.uint8)
    for place, scene in enumerate(scenes):
        out[place] = render(scene, np.random.default_rng([seed, place]))
    return out


def figure_of(scene: Scene, rng: np.random.Generator) -> Figure:
    """A scene's figure, somewhat moved, turned, sized and tinted."""
    centre = np.array(CENTRES[scene.position]) + rng.uniform(-_SHIFT, _SHIFT, 2)
    turn, radius = rng.uniform(-_TURN, _TURN), rng.uniform(*_RADIUS)
    tint = np.clip(np.array(COLOURS[scene.colour]) + rng.uniform(-_TINT, _TINT, 3), 0, 255)
    x, y = centre + rng.uniform(-_DRIFT, _DRIFT, 2)
    return Figure(
        outline_K2=placed(outline(scene.shape), centre, radius=float(radius), turn=float(turn)),
        colour=(float(tint[0]), float(tint[1]), float(tint[2])),
        style=scene.style,
        ground=float(np.clip(GROUNDS[scene.background] + rng.uniform(-_SHADE, _SHADE), 0, 255)),
        anchor=(float(x), float(y)),
        tilt=math.pi / 4 + float(rng.uniform(-_TURN, _TURN)),
    )


def paint(figure: Figure) -> Pictures:
    """The picture [S, S, 3]."""
    size = SIDE * _FINE
    inside = Image.new("L", (size, size))
    points = [(float(x), float(y)) for x, y in figure.outline_K2 * _FINE]
    if figure.style == "contorri":
        ImageDraw.Draw(inside).line([*points, *points[:2]], fill=1, width=round(_STROKE * _FINE), joint="curve")
    else:
        ImageDraw.Draw(inside).polygon(points, fill=1)
    mask_SS = np.asarray(inside, dtype=bool)
    fine_SS3 = np.full((size, size, 3), figure.ground, dtype=np.float32)
    fine_SS3[mask_SS] = figure.colour
    second_SS = _second_tone(figure, size)
    if second_SS is not None:
        fine_SS3[mask_SS & second_SS] = _away_from(figure.ground, np.array(figure.colour))
    coarse_SS3 = fine_SS3.reshape(SIDE, _FINE, SIDE, _FINE, 3).mean(axis=(1, 3))
    picture: Pictures = np.clip(np.rint(coarse_SS3), 0, 255).astype(np.uint8)
    return picture


def outline(shape: str) -> Points:
    """A shape of radius about 1 around 0; raises `KeyError`."""
    return _OUTLINES[shape]


def placed(outline_K2: Points, centre: NDArray[np.float64], *, radius: float, turn: float) -> Points:
    """An outline turned (radians), sized and moved."""
    turned = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    moved: Points = outline_K2 @ turned * radius + centre
    return moved


def _second_tone(figure: Figure, size: int) -> NDArray[np.bool_] | None:
    """Where the texture has its second tone; None for a style without texture."""
    y_SS, x_SS = np.mgrid[0:size, 0:size] / _FINE
    x_SS, y_SS = x_SS - figure.anchor[0], y_SS - figure.anchor[1]
    if figure.style == "strypov":
        across_SS = x_SS * math.cos(figure.tilt) + y_SS * math.sin(figure.tilt)
        stripes: NDArray[np.bool_] = np.abs(_folded(across_SS, _STRIPES)) < _STRIPES / 4
        return stripes
    if figure.style == "dottini":
        dots: NDArray[np.bool_] = _folded(x_SS, _DOTS) ** 2 + _folded(y_SS, _DOTS) ** 2 < _DOT**2
        return dots
    return None


def _folded(lengths: NDArray[np.float64], period: float) -> NDArray[np.float64]:
    """Distance from the nearest multiple of the period."""
    return (lengths + period / 2) % period - period / 2


def _away_from(ground: float, colour: NDArray[np.float64]) -> NDArray[np.float64]:
    return colour * _DARKER if ground > 190 else colour + (255 - colour) * _LIGHTER


def _around(radii: Sequence[float], *, start: float = -math.pi / 2) -> Points:
    angles = start + np.arange(len(radii)) * 2 * math.pi / len(radii)
    points: Points = np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.array(radii)[:, None]
    return points


def _heart() -> Points:
    t = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x, y + 2], axis=1) / 16


def _cross(half: float = 0.34) -> Points:
    corner = [(-half, -1.0), (half, -1.0), (half, -half)]
    points = []
    for _ in range(4):
        points += corner
        corner = [(-y, x) for x, y in corner]
    return np.array(points)


_OUTLINES: Final[Mapping[str, Points]] = {
    "circle": _around([0.98] * 48),
    "square": _around([1.2] * 4, start=-math.pi / 4),
    "triangle": np.array([(0, -1.05), (1.05, 0.8), (-1.05, 0.8)]),
    "star": _around([1.18, 0.54] * 5),
    "heart": _heart(),
    "cross": _cross(),
}
