"""Whether somebody is written of as a man or as a woman, so that a stand-in's first name is of the same gender.

Asked what Chastity Whitlow wrote, a model speaks of "her"; where that comes back under a man's name, it tells that another
was asked about. Two things count: a first name that is borne by one gender, and "he" and "she" in the entry's own texts.
Texts weigh more than a name, which may be another's elsewhere ("Andrea", "Jean").

It knows the first names of the United States census of 1990 (`mens_names.txt`, public domain) and the English pronouns;
where neither tells, no gender is kept. It does not know draws, scripts or stand-ins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from importlib.resources import files

from retrieval.text.known_words import known_words

_OF_MEN = re.compile(r"\b(?:he|him|his|himself)\b", re.IGNORECASE)
_OF_WOMEN = re.compile(r"\b(?:she|her|hers|herself)\b", re.IGNORECASE)
_NAME_WEIGHT = 2  # a pronoun counts as 1
_READ_CHARS = 20_000


class Gender(StrEnum):
    """Of a first name, or of the person whom a text speaks of."""

    MALE = "male"  # "he"
    FEMALE = "female"  # "she"


def gender_of(first_name: str) -> Gender | None:
    """The gender of those who bear a name, lower case; None where they are of either, or it is not known."""
    of_men, of_either = _names()
    if first_name in of_men:
        return Gender.MALE
    return Gender.FEMALE if first_name in _borne() and first_name not in of_either else None


def gender_in(first_names: Iterable[str], texts: Iterable[str]) -> Gender | None:
    """The gender of somebody who is called so, and of whom these texts tell. The first name that tells counts."""
    text = "\n".join(texts)[:_READ_CHARS]
    men, women = len(_OF_MEN.findall(text)), len(_OF_WOMEN.findall(text))
    named = next((found for name in first_names if (found := gender_of(name)) is not None), None)
    men += _NAME_WEIGHT * (named is Gender.MALE)
    women += _NAME_WEIGHT * (named is Gender.FEMALE)
    if men == women:
        return None
    return Gender.MALE if men > women else Gender.FEMALE


@cache
def _names() -> tuple[frozenset[str], frozenset[str]]:
    """The names of men, and those of either."""
    text = files("guardrail.treatments.names").joinpath("mens_names.txt").read_text(encoding="ascii")
    men, either = (section.split("\n")[1:] for section in text.split("# ")[1:])
    return frozenset(filter(None, men)), frozenset(filter(None, either))


@cache
def _borne() -> frozenset[str]:
    return frozenset(known_words().first_names)
