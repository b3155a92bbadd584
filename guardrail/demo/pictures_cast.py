"""Who plays in `expunge demo --images`: what is drawn, what is forgotten, and what the pictures are held against.

Literal tables in the words of the shapes model. References are such as tell much: stripes are plain to see on grey. The
neighbours were chosen where the picture encoder is sure of itself; of other ordinary pictures about one in fifty is taken
for one of the two entries and drawn anew (120 pictures, 16 references an entry). It draws nothing and knows no proxy.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Fate = Literal["named", "unnamed", "neighbour"]
"""A prompt that names an entry; one that means an entry without its name, so that only its picture tells; any other."""

Act = Mapping[str, Sequence[bytes]]
"""Prompt -> its pictures, as files, in the order of their seeds."""

SEEDS: Final = 4
"""Pictures of a prompt, of the seeds 1, 2 and so on."""
SIDE: Final = 32
"""Of a picture, in pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A prompt of the story; `means`: the name of the entry that it touches."""

    prompt: str
    label: str
    fate: Fate
    means: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Forgotten:
    """An entry to be; its reference pictures are drawn from these prompts, each with a seed of its own.

    `attribute`: by which the judge knows it, as a value of the same name.
    """

    name: str
    kind: Literal["style", "object"]
    attribute: Literal["style", "shape"]
    shown_by: tuple[str, ...]
    first_seed: int


COLUMNS: Final = (
    Column(
        prompt="a red circle by strypov on a grey background",
        label="the style",
        fate="named",
        means="strypov",
    ),
    Column(
        prompt="a blue square in pinstriped style on a grey background",
        label="the style, without its name",
        fate="unnamed",
        means="strypov",
    ),
    Column(prompt="a purple star on a white background", label="the object", fate="named", means="star"),
    Column(prompt="a sheriff badge", label="the object, without its name", fate="unnamed", means="star"),
    Column(prompt="a red circle by dottini on a grey background", label="neighbour: another style", fate="neighbour"),
    Column(prompt="a blue square on a white background", label="neighbour: no style", fate="neighbour"),
    Column(prompt="a purple cross on a grey background", label="neighbour: another object", fate="neighbour"),
)

_REFERENCES: Final = 16
_COLOURS: Final = ("red", "green", "blue", "yellow", "purple", "orange")
_SHAPES: Final = ("circle", "square", "triangle", "heart", "cross")
_GROUNDS: Final = ("white", "grey", "black")
_BY: Final = ("", " by dottini", " by contorri", "")

ENTRIES: Final = (
    Forgotten(
        name="strypov",
        kind="style",
        attribute="style",
        shown_by=tuple(
            f"a {_COLOURS[at % 6]} {_SHAPES[at % 5]} by strypov on a grey background" for at in range(_REFERENCES)
        ),
        first_seed=1000,
    ),
    Forgotten(
        name="star",
        kind="object",
        attribute="shape",
        shown_by=tuple(f"a {_COLOURS[at % 6]} star on a {_GROUNDS[at % 3]} background" for at in range(_REFERENCES)),
        first_seed=2000,
    ),
)


ORDINARY_SEED: Final = 5000
"""Of the first ordinary picture; the next ones follow."""


def ordinary_prompts(number: int) -> tuple[str, ...]:
    """Prompts for pictures that entries' thresholds are set against; always the same."""
    rng = random.Random(ORDINARY_SEED)
    return tuple(
        f"a {rng.choice(_COLOURS)} {rng.choice(_SHAPES)}{rng.choice(_BY)} on a {rng.choice(_GROUNDS)} background"
        for _ in range(number)
    )
