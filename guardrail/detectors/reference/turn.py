"""Does a turn of a conversation point back at what was spoken of before, or does it stand by itself?

    "And his wife?"                        -> PERSON        someone spoken of before
    "Tell me more." "Net worth?"           -> NEAREST       what was spoken of just before
    "Answer my first question again."      -> CONVERSATION  the talk itself
    "Thanks!"                              -> CLOSING       asks nothing
    "How do I sort a list in Python?"      -> OWN           a subject of its own

Hand rules over word tables, no parser: pronouns whose antecedent does not stand before them in the same turn, definite
descriptions, fragments, questions without a subject. What is unclear points back where it could be about a person or a
work (`RELATIONAL`), and stands by itself otherwise. Pure; it knows neither entries nor other turns. Limits: names typed
in lower case are seen only behind words that ask ("who is", "about"); languages that leave the subject out are caught by
fragments and a few words; other languages than English have no definite descriptions here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from guardrail.detectors.reference import words
from guardrail.detectors.reference.english import read_english
from guardrail.detectors.reference.other_languages import is_foreign, read_foreign
from guardrail.detectors.reference.pronouns import TOKEN
from guardrail.detectors.reference.values import Gender, Link, Reference, Sentence
from retrieval.text.views import Span, sentences

_ASKS = re.compile(
    r"\?|？|؟|^\W*(?:who|whom|whose|what|when|where|why|how|which|is|are|was|were|does|did|do|can|could|will|would|tell|"
    r"write|list|give|explain|name|describe|guess|put|join|combine|now|make|recommend|translate|please)\b",
    re.IGNORECASE,
)
_STRENGTH = (Link.CLOSING, Link.OWN, Link.NEAREST, Link.PERSON, Link.CONVERSATION)
_MOST_SENTENCES = 200
_EDGE_SENTENCES = 3
_KNOWN_TURNS = 8_192


def read_reference(texts: Sequence[str]) -> Reference:
    """Read the texts of one turn, in order. What was read of a turn is remembered by its hash, not by its text.

    "It" and the like count near the edges of a turn only: in the middle of a long one they mean what stands around them.
    A turn of more than `_MOST_SENTENCES` sentences is taken to point back: what is not read may do so.
    """
    key = hashlib.blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=16).digest()
    known = _known.get(key)
    if known is None:
        known = _known[key] = _read_turn(texts)
        if len(_known) > _KNOWN_TURNS:
            del _known[next(iter(_known))]
    return known


_known: dict[bytes, Reference] = {}


def _read_turn(texts: Sequence[str]) -> Reference:
    places = [(number, span) for number, text in enumerate(texts) for span in sentences(text)]
    link = Link.NEAREST if len(places) > _MOST_SENTENCES else Link.CLOSING
    gender, names, someone, anchored, topical = Gender.ANY, False, False, False, False
    spans: list[tuple[int, Span]] = []
    bare: set[tuple[int, Span]] = set()
    for place, (number, span) in enumerate(places[:_MOST_SENTENCES]):
        read = _read(texts[number][span.start : span.end], anchored=anchored, someone=someone)
        is_edge = place < _EDGE_SENTENCES or place >= len(places) - _EDGE_SENTENCES
        if read.link in (Link.NEAREST, Link.CONVERSATION) and not is_edge:
            continue
        if read.link not in (Link.OWN, Link.CLOSING):
            spans.append((number, span))
            bare |= {(number, span)} if read.bare else set()
            gender = read.gender if gender is Gender.ANY else gender
        link = max(link, read.link, key=_STRENGTH.index)
        names, someone = names or read.names, someone or read.someone
        anchored, topical = anchored or read.anchored, topical or read.topical
    whole = "\n".join(texts)
    return Reference(
        link=link,
        gender=gender,
        spans=tuple(spans),
        bare=frozenset(bare),
        names=names,
        someone=someone,
        is_statement=not _ASKS.search(whole),
        is_topical=topical,
        asks_you=bool(words.ASKED_OF_YOU.search(whole)) and not (names and "your" not in whole.lower()),
    )


def _read(sentence: str, *, anchored: bool, someone: bool) -> Sentence:
    if words.CLOSING.match(sentence):
        return Sentence(link=Link.CLOSING)
    left = sentence[match.end() :] if (match := words.SWITCH.match(sentence)) else sentence
    if not left.strip(" .,!?:;-"):
        return Sentence(link=Link.CLOSING)
    if words.GO_AHEAD.match(left):
        return Sentence(link=Link.NEAREST)
    tokens = [(token.group(), token.start()) for token in TOKEN.finditer(left)]
    lowered = [token.lower().replace("’", "'") for token, _ in tokens]
    if not tokens:
        return Sentence(link=Link.CLOSING)
    if is_foreign(left, lowered):
        return read_foreign(left, lowered, anchored=anchored, someone=someone)
    return read_english(left, tokens, lowered, anchored=anchored, someone=someone)
