"""What is read from a turn of a conversation: how it hangs on what was said before, and whom its pronouns mean."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from retrieval.text.views import Span


class Link(StrEnum):
    """How a turn hangs on what was said before."""

    OWN = "own"  # it stands by itself
    CLOSING = "closing"  # it asks nothing: thanks, a greeting
    PERSON = "person"  # it means someone spoken of before
    NEAREST = "nearest"  # it means what was spoken of just before
    CONVERSATION = "conversation"  # it means the talk itself


class Gender(StrEnum):
    """What a pronoun tells of the person it means."""

    HE = "he"
    SHE = "she"
    ANY = "any"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """The reading of a turn.

    `spans`: the sentences that point back, as (text number, span); `bare`: those of them that tell nothing by themselves.
    `names`: it speaks of something by name; `someone`: of one whom later pronouns may mean. `is_statement`: it neither
    asks nor orders. `is_topical`: it asks what one asks of people and works, and names nothing. `asks_you`: it asks the
    one addressed about himself.
    """

    link: Link
    gender: Gender = Gender.ANY
    spans: tuple[tuple[int, Span], ...] = ()
    bare: frozenset[tuple[int, Span]] = frozenset()
    names: bool = False
    someone: bool = False
    is_statement: bool = False
    is_topical: bool = False
    asks_you: bool = False

    @property
    def points_back(self) -> bool:
        """True unless it stands by itself."""
        return self.link not in (Link.OWN, Link.CLOSING)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """The reading of one sentence: `anchored` if it brings a subject to which later pronouns of the turn may belong;
    `bare` if hardly a word of it tells anything."""

    link: Link
    gender: Gender = Gender.ANY
    names: bool = False
    someone: bool = False
    anchored: bool = False
    bare: bool = False
    topical: bool = False
