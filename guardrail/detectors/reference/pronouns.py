"""Pronouns and names in an English sentence: does "he" mean someone outside of it?

A pronoun belongs to a name before it in the same turn, unless both stand in one clause in a way that makes them two
people ("Did Ann meet him?") or the name is a title or a place. Pure text work.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from guardrail.detectors.reference import words
from guardrail.detectors.reference.values import Gender

Token = tuple[str, int]
"""A word as written, and its place."""

TOKEN = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")
QUOTED = re.compile("[\"“‘«„]\\w[^\"”’»“]{2,}[\"”’»“]|(?<!\\w)'\\w[^']{2,}'(?!\\w)")
CLAUSE = re.compile(
    r"[;:(]|\b(?:and|but|because|while|if|since|so)\b|,(?!\W*(?:in|with|for|on|by|from)?\W*(?:which|where|whom))", re.I
)
_RELATIVE = re.compile(r"\b(?:which|where|whom|featur\w+|starring)\b", re.IGNORECASE)
_INVERTED = re.compile(
    r"\b(?:did|does|do|was|is|were|are|has|had|have|will|would|can|could|should|didn't|wasn't|isn't)\W+\Z", re.I
)
_ASKED_NAME = re.compile(r"\b(?:which|what|who|whose)(?:\W+\w+)?\W*\Z", re.IGNORECASE)
_SOMEBODY = re.compile(
    r"\b(?:people|persons|someone|somebody|anyone|anybody|everyone|everybody|humans|others|"
    r"(?:a|an|any|every|each|some|one|my|our|\d+[ -]year[ -]old)(?: [\w-]+){0,2} "
    r"(?:man|woman|person|boy|girl|male|female|child|kid|baby|student|teacher|patient|driver|user|customer|friend|worker|"
    r"couple|guy|lady|king|doctor|player|brother|sister|son|daughter|mother|father|mom|dad|wife|husband|boss|uncle|aunt|"
    r"cousin|colleague|neighbou?r|grand\w+|cat|dog|pet|novelist|writer|author|actor|actress|singer|philosopher))\b",
    re.IGNORECASE,
)
_NEWCOMER = re.compile(r"^\W*an? (?:[\w-]+ ){1,4}(?:\w{2,}ed|is|was|has|had|who|says|said|owns|lives)\b", re.IGNORECASE)
_SAYS = re.compile(r"(?:is|was|has|had|says|said|and|\w{2,}ed|\w{2,}es)\Z")
_TITLES = words.listed("mr mrs ms dr st prof jr sr sir")
_HEADING_WORDS = 7


def is_content(word: str) -> bool:
    """True for a word that can name a subject."""
    return not (
        word in words.FUNCTION
        or word in words.RELATIONAL
        or word[0].isdigit()
        or word.removesuffix("'s") in words.FUNCTION
    )


def names_in(text: str, tokens: Sequence[Token], lowered: Sequence[str]) -> Iterator[tuple[int, bool]]:
    """Places of names (runs of capitalised words) inside a sentence, and whether a pronoun behind may mean them.

    What stands behind a preposition of place ("in Portland") is passed by. Where most words are capitalised, as in
    headings, capitals tell nothing.
    """
    capital = [
        token[0].isupper() and word not in words.NOT_NAMES for (token, _), word in zip(tokens, lowered, strict=True)
    ]
    if len(tokens) >= _HEADING_WORDS and sum(capital) * 4 >= len(tokens) * 3:
        return
    in_run = False
    for at, (_, place) in enumerate(tokens):
        is_first = at == 0 or (text[:place].rstrip().endswith((".", "!", "?")) and not _is_short_form(lowered[at - 1]))
        follows = at + 1 < len(tokens) and (capital[at + 1] or _SAYS.match(lowered[at + 1]))
        starts_name = is_first and follows and is_content(lowered[at])
        begins_in = in_run
        in_run = capital[at] and (starts_name or not is_first) and lowered[at] not in words.LANGUAGES
        if begins_in or not in_run:
            continue
        before = lowered[at - 1] if at else ""
        is_thing = before in ("the", "a", "an") or lowered[at] == "the"
        is_quoted = any(match.start() <= place < match.end() for match in QUOTED.finditer(text))
        yield place, before not in words.PLACE_PREPOSITIONS and not is_thing and not is_quoted


def _is_short_form(word: str) -> bool:
    return len(word) == 1 or word in _TITLES


def pronoun_of(
    text: str, tokens: Sequence[Token], lowered: Sequence[str], binding: Sequence[int], *, someone: bool, anchored: bool
) -> Gender | None:
    """The gender of the first personal pronoun whose person is not named before it in the turn; None if there is none.

    `binding` are the places of names in this sentence; `someone`: an earlier one spoke of a person; `anchored`: of
    anything, which "they" may mean.
    """
    for (_, place), word in zip(tokens, lowered, strict=True):
        gender = _gender_of(word)
        if gender is None:
            continue
        if gender is Gender.ANY and (
            anchored or any(other.endswith("s") and len(other) > 3 and is_content(other) for other in lowered)
        ):
            continue  # "are they": things of this very sentence
        if _SOMEBODY.search(text, 0, place) or _NEWCOMER.search(text, 0, place):
            continue
        before = [name for name in binding if name < place]
        if not before and not someone:
            return gender
        if before and _is_beside(text, before[-1], place, word):
            return gender
    return None


def speaks_of_somebody(text: str) -> bool:
    """True where a person is spoken of without a name: "my brother", "a man", "a pirate has ..."."""
    return bool(_SOMEBODY.search(text) or _NEWCOMER.search(text))


def _gender_of(word: str) -> Gender | None:
    if word in words.HE:
        return Gender.HE
    if word in words.SHE:
        return Gender.SHE
    return Gender.ANY if word in words.THEY else None


def _is_beside(text: str, name: int, place: int, word: str) -> bool:
    """Is the pronoun someone else than the name before it? Yes in one clause with it, as in "Did Ann meet him?", "Is Ann
    his wife?", "Which Cup did he win?", "the film X where he plays"."""
    if CLAUSE.search(text, name, place):
        return False
    is_possessive = word in ("his", "her", "their", "its")
    is_subject = bool(_INVERTED.search(text, 0, name))
    if is_subject and (is_possessive or word in ("he", "she", "they")):
        return bool(re.match(r"\W*(?:and |but |so )?(?:is|was|are|were)\b", text, re.IGNORECASE))
    if _RELATIVE.search(text, name, place):
        return True
    if word in ("he", "she", "they"):
        return bool(_INVERTED.search(text, name, place))
    return not is_possessive or bool(_ASKED_NAME.search(text, 0, name))
