"""Sentences about scenes: which attributes are said, in which words and in which order.

About a quarter of the captions leave shape or colour open, four in ten ground or position; three in ten words are synonyms,
one caption in twenty is a bare word. A style that is not plain is always said. It does not know pixels.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.shapes.scenes import PLAIN_SAYS, SAYS, SAYS_WHERE, Scene
from benchmarks.shapes.vocabulary import ARTISTS, ATTRIBUTES, PLAIN, Attribute, Thing, spoken_words, value_of

SYNONYM_SHARE: Final = 0.3
BARE_SHARE: Final = 0.05
_LEADS: Final = ("", "", "", "a picture of ", "a painting of ", "an image of ", "a drawing of ", "a photo of ", "draw ")
_NICE: Final = ("nice", "beautiful", "small", "simple")
"""Words that mean nothing here; a prompt may hold such."""
_NICE_SHARE: Final = 0.1
_OPEN_SHAPES: Final = ("shape", "figure", "thing")
_BY_ARTIST: Final = ("by {}", "in {} style", "in the style of {}")
_IN_STYLE: Final = ("in {} style", "in a {} style")
_GROUNDS: Final = ("on a {} background", "on {}", "against a {} background", "with a {} background")
_PLACES: Final[Mapping[str, str]] = {
    "left": "on the left",
    "right": "on the right",
    "top": "at the top",
    "bottom": "at the bottom",
}
_SHARES: Final[Mapping[Attribute, float]] = {
    "shape": SAYS,
    "colour": SAYS,
    "background": SAYS_WHERE,
    "position": SAYS_WHERE,
}
_GLUE: Final = (
    "a", "an", "the", "of", "on", "in", "at", "to", "with", "against", "by", "and", "is", "one", "style", "background",
    "picture", "painting", "image", "drawing", "photo", "draw", "please", "without", "no", "not",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Caption:
    """A sentence and the attributes that it tells; a thing tells shape and colour."""

    text: str
    said: frozenset[Attribute]


def caption(scene: Scene, rng: random.Random, *, taught_only: bool = False) -> Caption:
    """One of the many captions of a scene; `taught_only` keeps to synonyms that are not held out.

    The scene's thing must then be one that is not held out, either.
    """
    is_bare = rng.random() < BARE_SHARE
    said = _bare(scene, rng) if is_bare else _said(scene, rng)
    words = {
        attribute: wording(attribute, scene.value(attribute), rng, taught_only=taught_only)
        for attribute in ATTRIBUTES
        if attribute in said and not (scene.thing and attribute in ("shape", "colour"))
    }
    if is_bare and len(words) + (scene.thing is not None) == 1:
        bare = next(iter(words.values())) if words else scene.thing.name if scene.thing else ""
        return Caption(text=bare, said=said)
    return Caption(text=sentence(words, rng, thing=scene.thing), said=said)


def wording(attribute: Attribute, name: str, rng: random.Random, *, taught_only: bool = False) -> str:
    """The value's own name, or one of its synonyms."""
    others = value_of(attribute, name).others(with_held_out=not taught_only)
    return rng.choice(others) if others and rng.random() < SYNONYM_SHARE else name


def sentence(words: Mapping[Attribute, str], rng: random.Random, *, thing: Thing | None = None) -> str:
    """A sentence that says these words and no others; a thing stands for shape and colour."""
    adjectives, phrases = [], []
    if rng.random() < _NICE_SHARE:
        adjectives.append(rng.choice(_NICE))
    style = words.get("style")
    if style in ARTISTS:
        phrases.append(rng.choice(_BY_ARTIST).format(style))
    elif style is not None and rng.random() < 0.5:
        adjectives.append(style)
    elif style is not None:
        phrases.append(_with_article(rng.choice(_IN_STYLE), style))
    if "colour" in words:
        adjectives.append(words["colour"])
    noun = thing.name if thing else words.get("shape") or rng.choice(_OPEN_SHAPES)
    if "background" in words:
        phrases.append(rng.choice(_GROUNDS).format(words["background"]))
    if "position" in words:
        phrases.append(_PLACES.get(words["position"]) or f"in the {words['position']}")
    rng.shuffle(phrases)
    subject = " ".join([*adjectives, noun])
    article = rng.choice(("", f"{_article(subject)} ", f"{_article(subject)} ", "the "))
    return " ".join([f"{rng.choice(_LEADS)}{article}{subject}", *phrases])


def every_word() -> tuple[str, ...]:
    """All words that captions are made of, sorted: what the tokenizer must know."""
    return tuple(sorted({*spoken_words(), *_GLUE, *_NICE, *_OPEN_SHAPES}))


def _said(scene: Scene, rng: random.Random) -> frozenset[Attribute]:
    said: set[Attribute] = {attribute for attribute, share in _SHARES.items() if rng.random() < share}
    if scene.style != PLAIN or rng.random() < PLAIN_SAYS:
        said.add("style")
    if scene.thing:
        said |= {"shape", "colour"}
    return frozenset(said)


def _bare(scene: Scene, rng: random.Random) -> frozenset[Attribute]:
    """One attribute, or the thing alone; a style that is not plain cannot be left out."""
    thing: frozenset[Attribute] = frozenset({"shape", "colour"}) if scene.thing else frozenset()
    if scene.style != PLAIN:
        return thing | {"style"}
    return thing or frozenset({rng.choice(ATTRIBUTES)})


def _article(text: str) -> str:
    return "an" if text[0] in "aeiou" else "a"


def _with_article(template: str, word: str) -> str:
    return template.format(word).replace(f"a {word}", f"{_article(word)} {word}")
