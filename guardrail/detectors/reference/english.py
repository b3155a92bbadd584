"""Reads an English sentence: does it point back, or does it bring a subject of its own?

In this order: the talk itself, personal pronouns, "it" and definite descriptions, fragments and questions about nobody.
What is unclear points back where it could be about a person or a work (`RELATIONAL`), and stands by itself otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from guardrail.detectors.reference import words
from guardrail.detectors.reference.pronouns import (
    CLAUSE,
    QUOTED,
    TOKEN,
    Token,
    is_content,
    names_in,
    pronoun_of,
    speaks_of_somebody,
)
from guardrail.detectors.reference.values import Gender, Link, Sentence

_VERB = re.compile(
    r"\b(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should|tell|write|list|give|explain|describe|make|"
    r"recommend|translate|show|compare|name)\b",
    re.IGNORECASE,
)
_WH = ("who", "what", "which", "whom", "whose")
_FRAGMENT_WORDS = 5
_SUBJECT_WORDS = 2  # so many words of content make a subject


def read_english(
    text: str, tokens: Sequence[Token], lowered: Sequence[str], *, anchored: bool, someone: bool
) -> Sentence:
    """One sentence. `anchored`, `someone`: the turn has brought a subject, or a person, of its own before it."""
    named = list(names_in(text, tokens, lowered))
    introduced = words.ASKS_OF_A_PERSON.search(text)
    if introduced and introduced.group(1).lower() in words.RELATIONAL | words.FUNCTION:
        introduced = None
    binding = [place for place, binds in named if binds] + ([introduced.start(1)] if introduced else [])
    has_name = bool(named or introduced)
    gender = pronoun_of(text, tokens, lowered, binding, someone=someone, anchored=anchored)
    content = [word for word in lowered if is_content(word)]
    is_vague = not has_name and len(content) < _SUBJECT_WORDS
    if words.CONVERSATION.search(text):
        link = Link.CONVERSATION if gender is None else Link.PERSON
        return Sentence(
            link=link,
            gender=gender or Gender.ANY,
            names=has_name,
            someone=bool(binding),
            anchored=has_name,
            bare=is_vague,
        )
    if gender is not None:
        return Sentence(link=Link.PERSON, gender=gender, names=has_name, someone=bool(binding), bare=is_vague)
    if not anchored and _points_near(text, tokens, lowered, binding, has_name=has_name):
        return Sentence(link=Link.NEAREST, names=has_name, someone=bool(binding), bare=is_vague)
    own = has_name or anchored or _has_anchor(text)
    relational = any(word in words.RELATIONAL for word in lowered)
    topical = relational and not has_name and not words.INDEFINITE.search(text)
    is_fragment = len(tokens) <= _FRAGMENT_WORDS and not _VERB.search(text) and lowered[0] not in _WH
    is_bare = not content or (relational and len(content) < _SUBJECT_WORDS) or is_fragment
    if is_bare and not own:
        return Sentence(link=Link.NEAREST, topical=topical, bare=True)
    is_someone = bool(binding) or speaks_of_somebody(text)
    return Sentence(link=Link.OWN, names=has_name, someone=is_someone, anchored=True, topical=topical)


def _speaks_of_own(text: str) -> bool:
    """Does it speak of the speaker, or of something new?"""
    plain = words.I_FORMULAS.sub(" ", text).lower()
    return bool(words.INDEFINITE.search(text)) or any(word in words.FIRST_PERSON for word in TOKEN.findall(plain))


def _has_anchor(text: str) -> bool:
    """Does it speak of the speaker, of something new, or of a thing that it asks to have explained?"""
    if _speaks_of_own(text) or QUOTED.search(text):
        return True
    thing = words.ASKS_OF_A_THING.search(text)
    return bool(thing and is_content(thing.group(1).lower())) or any(mark in text for mark in ("http", "```", "=="))


def _points_near(
    text: str, tokens: Sequence[Token], lowered: Sequence[str], binding: Sequence[int], *, has_name: bool
) -> bool:
    """Does it speak of "it", "that book", "the author", "more": of what was spoken of just before?"""
    that = words.THAT.search(text)
    if that and not (binding and CLAUSE.search(text, binding[0], that.start())):
        return True
    if binding:
        return False
    near = words.NEAREST.search(text)
    if near and not (has_name and near.group().lower().endswith(("more", "else"))):
        return True
    it = words.IT.search(words.EXPLETIVE.sub(lambda found: " " * len(found.group()), text))
    if it is None:
        return False
    before = [word for (_, place), word in zip(tokens, lowered, strict=True) if place < it.start() and is_content(word)]
    if it.group().lower() == "its" or len(before) >= _SUBJECT_WORDS:
        return not before
    return not before or not (has_name or _speaks_of_own(text))
