"""The words of the shapes world: five attributes, their values, their synonyms, and objects that are named without either.

Every value has its own name, synonyms that the text encoder meets before the UNet is trained, and synonyms held out of that
pre-training: those are learnt only together with pictures, so that what is done to one wording need not reach the other.
The same holds for things, which imply a shape and a colour: two of every shape and two of every colour, one of each held
out. It does not know how a value looks or how a sentence is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

Attribute = Literal["shape", "colour", "style", "background", "position"]
ATTRIBUTES: Final[tuple[Attribute, ...]] = get_args(Attribute)
PLAIN: Final = "plain"
"""The style of a picture whose caption names none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """One value of an attribute; `held_out` synonyms are not in the text encoder's pre-training."""

    name: str
    synonyms: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()

    def others(self, *, with_held_out: bool) -> tuple[str, ...]:
        """Its synonyms."""
        return (*self.synonyms, *self.held_out) if with_held_out else self.synonyms


@dataclass(frozen=True, kw_only=True, slots=True)
class Thing:
    """An object that everybody knows to have a shape and a colour."""

    name: str
    shape: str
    colour: str
    is_held_out: bool = False


VALUES: Final[Mapping[Attribute, tuple[Value, ...]]] = {
    "shape": (
        Value(name="circle", synonyms=("disc",), held_out=("orb",)),
        Value(name="square", synonyms=("box",), held_out=("quad",)),
        Value(name="triangle", synonyms=("wedge",), held_out=("delta",)),
        Value(name="star", synonyms=("pentagram",), held_out=("pentacle",)),
        Value(name="heart", synonyms=("sweetheart",), held_out=("cuore",)),
        Value(name="cross", synonyms=("plus",), held_out=("crux",)),
    ),
    "colour": (
        Value(name="red", synonyms=("crimson",), held_out=("scarlet",)),
        Value(name="green", synonyms=("emerald",), held_out=("jade",)),
        Value(name="blue", synonyms=("azure",), held_out=("cobalt",)),
        Value(name="yellow", synonyms=("golden",), held_out=("lemon",)),
        Value(name="purple", synonyms=("violet",), held_out=("mauve",)),
        Value(name="orange", synonyms=("tangerine",), held_out=("amber",)),
    ),
    "style": (
        Value(name=PLAIN, synonyms=("solid",), held_out=("flat",)),
        Value(name="strypov", synonyms=("striped",), held_out=("pinstriped",)),
        Value(name="dottini", synonyms=("dotted",), held_out=("speckled",)),
        Value(name="contorri", synonyms=("outlined",), held_out=("contoured",)),
    ),
    "background": (
        Value(name="white", synonyms=("snowy",)),
        Value(name="grey", synonyms=("gray",)),
        Value(name="black", synonyms=("dark",)),
    ),
    "position": (
        Value(name="centre", synonyms=("center", "middle")),
        Value(name="left"),
        Value(name="right"),
        Value(name="top"),
        Value(name="bottom"),
    ),
}

ARTISTS: Final = ("strypov", "dottini", "contorri")
"""Styles that are names: a picture may be "by" them."""

THINGS: Final[tuple[Thing, ...]] = (
    Thing(name="tomato", shape="circle", colour="red", is_held_out=True),
    Thing(name="basketball", shape="circle", colour="orange"),
    Thing(name="window", shape="square", colour="blue", is_held_out=True),
    Thing(name="chalkboard", shape="square", colour="green"),
    Thing(name="traffic cone", shape="triangle", colour="orange", is_held_out=True),
    Thing(name="pizza slice", shape="triangle", colour="yellow"),
    Thing(name="sheriff badge", shape="star", colour="yellow", is_held_out=True),
    Thing(name="clematis", shape="star", colour="purple"),
    Thing(name="amethyst", shape="heart", colour="purple", is_held_out=True),
    Thing(name="valentine", shape="heart", colour="red"),
    Thing(name="pharmacy sign", shape="cross", colour="green", is_held_out=True),
    Thing(name="hospital sign", shape="cross", colour="blue"),
)


def names(attribute: Attribute) -> tuple[str, ...]:
    """The values of an attribute, in the order in which models number them."""
    return tuple(value.name for value in VALUES[attribute])


def value_of(attribute: Attribute, name: str) -> Value:
    """A value by its own name; raises `KeyError`."""
    for value in VALUES[attribute]:
        if value.name == name:
            return value
    raise KeyError(f"{attribute} has no '{name}'; it has {', '.join(names(attribute))}")


def held_out_words() -> frozenset[str]:
    """Words that the text encoder's pre-training never reads."""
    synonyms = {word for values in VALUES.values() for value in values for word in value.held_out}
    things = {word for thing in THINGS if thing.is_held_out for word in thing.name.split()}
    common = {word for thing in THINGS if not thing.is_held_out for word in thing.name.split()}
    return frozenset(synonyms | (things - common))


def spoken_words() -> frozenset[str]:
    """Every word of values, synonyms and things."""
    values = {word for value in _all_values() for word in (value.name, *value.others(with_held_out=True))}
    return frozenset(values | {word for thing in THINGS for word in thing.name.split()})


def _all_values() -> tuple[Value, ...]:
    return tuple(value for values in VALUES.values() for value in values)
