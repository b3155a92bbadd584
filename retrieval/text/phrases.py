"""Which phrases an entry gives to the automaton: its names, aliases and facts, and how each may be taken.

It does not know the automaton, requests or policies. Two flags travel with a phrase. `always`: the phrase is forbidden
and telling by itself; otherwise it counts only in a request that touches the entry for another reason ("1947" is the
answer to thousands of questions). `exact_case`: only this spelling counts (the name "It"). Lengths are in characters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from retrieval.text.characters import Kind
from retrieval.text.views import TextView, first_kind, normalise

if TYPE_CHECKING:
    from retrieval.entry import Fact, ForgetEntry

FACT_PREFIX_CHARS = 64
"""A fact is recognised, and stopped, at the latest at this many characters."""

_SHORT_CHARS = 3
_JOINED_CHARS = (8, 64)  # shorter joined names are too often another word ("Al Go": "algo")

# English, and the articles and prepositions of names elsewhere.
_SMALL_WORDS = (
    "a about after all also am an and any are as at be because been before but by can could did do does for from had "
    "has have he her here hers him his how i if in into is it its just me more most my no not now of off on one only "
    "or other our out over own she should so some such than that the their them then there these they this those to "
    "too two under up us very was we were what when where which while who whom why will with would yes you your "
    "de la le el en un une der die das und et y o os da los las les du des von van"
)
_STOP_WORDS = frozenset(_SMALL_WORDS.split())

PhraseKind = Literal["name", "alias", "fact"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PhraseTag:
    """Whose phrase it is and how it may be taken. `surface` is the spelling that `exact_case` asks for."""

    entry_id: str
    kind: PhraseKind
    always: bool = True
    exact_case: bool = False
    surface: str = ""

    def fits(self, found: str) -> bool:
        """True unless the phrase asks for its exact case and `found` (the text of the hit) has another."""
        if not self.exact_case:
            return True
        return "".join(char for char in found if first_kind(char) is not Kind.DROPPED) == self.surface


@dataclass(frozen=True, kw_only=True, slots=True)
class Phrase:
    """A text for the automaton and its tag."""

    text: str
    tag: PhraseTag


def phrases_of(record_id: str, entry: ForgetEntry, names: Sequence[str] = ()) -> list[Phrase]:
    """Every phrase of an entry, without repetitions. `names`: derived aliases that may decide alone."""
    found: dict[tuple[tuple[str, ...], PhraseTag], Phrase] = {}
    candidates = _of_name(record_id, entry.name, "name")
    for alias in (*entry.aliases, *names):
        candidates += _of_name(record_id, alias, "alias")
    candidates += [phrase for fact in entry.facts if (phrase := _of_fact(record_id, fact)) is not None]
    for phrase in candidates:
        words = normalise(phrase.text).words
        if words:
            found.setdefault((words, phrase.tag), phrase)
    return list(found.values())


def _of_name(record_id: str, name: str, kind: PhraseKind) -> list[Phrase]:
    view = normalise(name)
    if _is_weak(view):
        stop_words = all(word in _STOP_WORDS for word in view.words)
        tag = PhraseTag(entry_id=record_id, kind=kind, always=not stop_words, exact_case=True, surface=name)
        return [Phrase(text=name, tag=tag)]
    tag = PhraseTag(entry_id=record_id, kind=kind)
    return [Phrase(text=text, tag=tag) for text in (name, *name_variants(name))]


def name_variants(name: str) -> list[str]:
    """Other spellings that compare differently: initials together and apart, parts and all of the name joined.

    "J. K. Rowling": "jk rowling", "jkrowling"; "Conan O'Brien": "conan obrien", "conanobrien"; "NASA": "n a s a".
    """
    tokens = [normalise(token).words for token in name.split()]
    tokens = [token for token in tokens if token]
    words = [word for token in tokens for word in token]
    if not words or any(first_kind(word) is Kind.ALONE for word in words):
        return []
    variants = ["".join(token) for token in tokens], _merged_initials(words), _split_initials(name)
    texts = [" ".join(variant) for variant in variants]
    joined = "".join(words)
    if len(words) > 1 and _JOINED_CHARS[0] <= len(joined) <= _JOINED_CHARS[1]:
        texts.append(joined)
    return [text for text in dict.fromkeys(texts) if text and tuple(text.split()) != tuple(words)]


def _merged_initials(words: list[str]) -> list[str]:
    """Runs of single letters as one word."""
    merged: list[str] = []
    run = 0
    for word in words:
        run = run + 1 if len(word) == 1 and word.isalpha() else 0
        if run > 1:
            merged[-1] += word
        else:
            merged.append(word)
    return merged


def _split_initials(name: str) -> list[str]:
    """Capital groups as single letters: two or three beside other words ("JK Rowling"), four or five alone."""
    tokens = name.split()
    low, high = (2, 3) if len(tokens) > 1 else (4, 5)
    parts: list[str] = []
    for token in tokens:
        is_group = re.fullmatch(r"[A-Z]+", token) is not None and low <= len(token) <= high
        parts += list(token.lower()) if is_group else list(normalise(token).words)
    return parts


def _of_fact(record_id: str, fact: Fact) -> Phrase | None:
    text = cut_to_words(fact.answer, FACT_PREFIX_CHARS)
    view = normalise(text)
    if not view.words:
        return None
    if _is_weak(view):
        always = False
    elif fact.question:
        always = _is_unmistakable(view)
    else:
        always = _weight(view) >= 2 or _letters(view) >= 8
    return Phrase(text=text, tag=PhraseTag(entry_id=record_id, kind="fact", always=always))


def cut_to_words(text: str, limit_chars: int) -> str:
    """The longest beginning of whole words within `limit_chars`; the first word even where it is longer."""
    view = normalise(text)
    if not view.words:
        return ""
    start = view.starts[0]
    last = max((end for end in view.ends if end - start <= limit_chars), default=view.ends[0])
    return text[start:last]


def _letters(view: TextView) -> int:
    return sum(map(len, view.words))


def _weight(view: TextView) -> int:
    """How many words, where two characters of a script without spaces count as one."""
    alone = sum(first_kind(word) is Kind.ALONE for word in view.words)
    return len(view.words) - alone + (alone + 1) // 2


def _is_weak(view: TextView) -> bool:
    """Only stop words, or too short to tell anything."""
    if any(first_kind(word) is Kind.ALONE for word in view.words):
        return len(view.words) < 2
    return all(word in _STOP_WORDS for word in view.words) or _letters(view) <= _SHORT_CHARS


def _is_unmistakable(view: TextView) -> bool:
    """May an answer be forbidden wherever it appears?"""
    weight = _weight(view)
    has_code = any(len(word) >= 5 and any(char.isdigit() for char in word) for word in view.words)
    return weight >= 3 or (weight >= 2 and _letters(view) + len(view.words) - 1 >= 10) or has_code
