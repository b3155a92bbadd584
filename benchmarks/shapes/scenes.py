"""What a picture of the shapes world shows, and drawing such scenes at random.

A scene is independent of its caption: what a caption leaves open is therefore uniform over its values. The one exception
is on purpose: a caption without a style means a plain picture. It is made by drawing plain scenes as often as any other
style that is said, plus once for every caption that says none (`captions.SAYS`). It knows neither pixels nor sentences.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from benchmarks.shapes.vocabulary import PLAIN, THINGS, Attribute, Thing, names

SAYS: Final = 0.75
"""Share of captions that say an attribute; the others leave it open."""
SAYS_WHERE: Final = 0.6
"""The same for ground and position: both are soon learnt, and where rarely left open, the model draws their mean, grey."""
THING_SHARE: Final = 0.15
"""Share of scenes that show a thing, always called by its name."""
PLAIN_SAYS: Final = (SAYS / 4) / (1 - SAYS * 3 / 4)
"""Share of plain scenes' captions that say so: as often as any other style is said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One figure on a ground. `thing`: the object that it is, if it is one."""

    shape: str
    colour: str
    style: str
    background: str
    position: str
    thing: Thing | None = None

    def value(self, attribute: Attribute) -> str:
        """Its value of an attribute."""
        found: str = getattr(self, attribute)
        return found


def draw_scene(rng: random.Random, *, taught_only: bool = False, with_things: bool = True) -> Scene:
    """A scene at random; `taught_only` keeps to things that are not held out."""
    is_plain = rng.random() < 1 - SAYS * 3 / 4
    style = PLAIN if is_plain else rng.choice([name for name in names("style") if name != PLAIN])
    thing = None
    if with_things and rng.random() < THING_SHARE:
        thing = rng.choice([one for one in THINGS if not (taught_only and one.is_held_out)])
    return Scene(
        shape=thing.shape if thing else rng.choice(names("shape")),
        colour=thing.colour if thing else rng.choice(names("colour")),
        style=style,
        background=rng.choice(names("background")),
        position=rng.choice(names("position")),
        thing=thing,
    )


def draw_scenes(number: int, *, seed: str, with_things: bool = True) -> tuple[Scene, ...]:
    """As many scenes; the same for the same seed, and the first of more are those of fewer."""
    rng = random.Random(f"scenes {seed}")
    return tuple(draw_scene(rng, with_things=with_things) for _ in range(number))
