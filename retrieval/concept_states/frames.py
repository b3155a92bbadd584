"""Prompts in which a concept's name stands, each with the same prompt without it: what concepts are learnt from.

It knows no entry.
"""

from __future__ import annotations

from retrieval.entry import EntryKind

WITHOUT_NEIGHBOURS = frozenset({EntryKind.PERSON, EntryKind.PERSONAL_DATA, EntryKind.STYLE, EntryKind.WORK})
"""Kinds for which no neighbour stands in: no real person or artist is ever made to stand for another one."""

Frame = tuple[str, str]
"""A prompt with a place for the concept, and the same without it."""

_AS_STYLE: tuple[Frame, ...] = (
    ("a painting in the style of {}", "a painting"),
    ("a picture in {} style", "a picture"),
    ("a house by {}", "a house"),
    ("a dog in the style of {}", "a dog"),
    ("a {} picture", "a picture"),
    ("a {} circle on a white background", "a circle on a white background"),
    ("a red {} square", "a red square"),
    ("{}", "a picture"),
)
_AS_PERSON: tuple[Frame, ...] = (
    ("{}", "a person"),
    ("a photo of {}", "a photo of a person"),
    ("a portrait of {}", "a portrait of a person"),
    ("{} in a garden", "a person in a garden"),
    ("{} and a dog", "a person and a dog"),
    ("a drawing of {} on a white background", "a drawing of a person on a white background"),
)
_AS_THING: tuple[Frame, ...] = (
    ("{}", "a thing"),
    ("a {}", "a thing"),
    ("a picture of a {}", "a picture of a thing"),
    ("a {} on a white background", "a thing on a white background"),
    ("a small {} beside a house", "a small thing beside a house"),
    ("a {} circle", "a circle"),
    ("a {} car on a street", "a car on a street"),
    ("a drawing of a {} thing", "a drawing of a thing"),
)
_FRAMES: dict[EntryKind, tuple[Frame, ...]] = {
    EntryKind.STYLE: _AS_STYLE,
    EntryKind.PERSON: _AS_PERSON,
    EntryKind.PERSONAL_DATA: _AS_PERSON,
}

ORDINARY = (
    "",
    "a picture",
    "a photo of a dog",
    "a house on a white background",
    "a small circle",
    "a red car on a street",
    "a painting of a tree",
    "two people in a garden",
)
"""Prompts that must stay as they are under any concept that is not named in them."""


def frames_of(kind: EntryKind) -> tuple[Frame, ...]:
    """Those of a style, a person, or else of a thing, whose name may be a noun or describe one."""
    return _FRAMES.get(kind, _AS_THING)
