"""Prompts that measure how well the shapes model follows, and what it must then show. It does not know pictures.

Groups: `full` says all five attributes by name. `open_X` says all but X. `synonym_X`, `held_out_X` say X by a synonym that
the text encoder's pre-training met, or by one that it did not. `implicit` and `held_out_implicit` name things. `X_name`,
`X_synonym`, `X_held_out`, `X_implicit` are the same for one concept.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.shapes.captions import sentence
from benchmarks.shapes.vocabulary import ATTRIBUTES, PLAIN, THINGS, VALUES, Attribute, Thing, Value, names, value_of

CONCEPTS: Final[Mapping[str, Attribute]] = {"blue": "colour", "star": "shape", "strypov": "style"}
"""What the issue makes the model forget."""
_MEANT: Final[tuple[Attribute, ...]] = ("shape", "colour", "style")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """A prompt, the values that its picture must show, and the attribute that it leaves open, if one is measured."""

    group: str
    prompt: str
    wanted: Mapping[Attribute, str]
    left_open: Attribute | None = None


def asks(number: int, *, seed: int) -> tuple[Ask, ...]:
    """`number` prompts of each group."""
    rng = random.Random(f"asking {seed}")
    return tuple(ask for place in range(number) for ask in _round(place, rng))


def _round(place: int, rng: random.Random) -> Iterator[Ask]:
    """One prompt of each group; values go in turn, so that each comes up as often."""
    full = _values(rng)
    yield Ask(group="full", prompt=sentence(full, rng), wanted=full)
    for attribute in ATTRIBUTES:
        said = {name: value for name, value in _values(rng, plain=True).items() if name != attribute}
        wanted = {**said, "style": PLAIN} if attribute == "style" else said
        left_open = None if attribute == "style" else attribute
        yield Ask(group=f"open_{attribute}", prompt=sentence(said, rng), wanted=wanted, left_open=left_open)
    for attribute in _MEANT:
        value = value_of(attribute, names(attribute)[place % len(names(attribute))])
        yield from _by_synonyms(f"synonym_{attribute}", f"held_out_{attribute}", attribute, value, rng)
    taught = [thing for thing in THINGS if not thing.is_held_out]
    held_out = [thing for thing in THINGS if thing.is_held_out]
    yield _of_thing("implicit", taught[place % len(taught)], rng)
    yield _of_thing("held_out_implicit", held_out[place % len(held_out)], rng)
    for concept, attribute in CONCEPTS.items():
        yield from _of_concept(concept, attribute, place, rng)


def _of_concept(concept: str, attribute: Attribute, place: int, rng: random.Random) -> Iterator[Ask]:
    values = {**_values(rng, plain=attribute != "style"), attribute: concept}
    yield Ask(group=f"{concept}_name", prompt=sentence(values, rng), wanted=values)
    value = value_of(attribute, concept)
    yield from _by_synonyms(f"{concept}_synonym", f"{concept}_held_out", attribute, value, rng)
    things = [thing for thing in THINGS if concept in (thing.shape, thing.colour)]
    if things:
        yield _of_thing(f"{concept}_implicit", things[place % len(things)], rng)


def _by_synonyms(taught: str, held_out: str, attribute: Attribute, value: Value, rng: random.Random) -> Iterator[Ask]:
    for group, words in ((taught, value.synonyms), (held_out, value.held_out)):
        values = {**_values(rng, plain=attribute != "style"), attribute: value.name}
        prompt = sentence({**values, attribute: rng.choice(words)}, rng)
        yield Ask(group=group, prompt=prompt, wanted=values)


def _of_thing(group: str, thing: Thing, rng: random.Random) -> Ask:
    values = {name: value for name, value in _values(rng, plain=True).items() if name not in ("shape", "colour")}
    wanted: dict[Attribute, str] = {**values, "shape": thing.shape, "colour": thing.colour}
    return Ask(group=group, prompt=sentence(values, rng, thing=thing), wanted=wanted)


def _values(rng: random.Random, *, plain: bool = False) -> dict[Attribute, str]:
    values = {attribute: rng.choice(VALUES[attribute]).name for attribute in ATTRIBUTES}
    return {**values, "style": PLAIN} if plain else values
