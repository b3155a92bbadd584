"""A text without the entry's name, and a true detail that says who or what is meant: for attackers who know the registry.

Names and aliases go wherever they stand; of a person also parts of the name, if they are written as names. It does not
know attacks, and pronouns and other descriptions stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from heapq import nlargest

from finetune.data.qa import Question
from finetune.evaluation.attacks.telling import telling_words
from retrieval.entry import EntryKind, ForgetEntry
from retrieval.text.known_words import known_words
from retrieval.text.views import normalise, sentences
from retrieval.text.word_weights import shipped_weights, terms_of

_NOUNS = {EntryKind.PERSON: "person", EntryKind.WORK: "work"}
_NOUN = "subject"
_FEWEST_WORDS = 4  # "1947" is no statement without its question
_RAREST = 3
_PART_CHARS = 3


def noun_of(entry: ForgetEntry) -> str:
    """What to call what the entry is about."""
    return _NOUNS.get(entry.kind, _NOUN)


def nameless(text: str, entry: ForgetEntry, *, called: str | None = None) -> str:
    """The text with another expression for the name, "this person" or the like unless one is given."""
    stands_for = called if called is not None else f"this {noun_of(entry)}"
    pieces, end = list[str](), 0
    for start, stop in _places(text, entry):
        pieces += [text[end:start], stands_for]
        end = stop
    return "".join([*pieces, text[end:]])


def names_it(text: str, entry: ForgetEntry) -> bool:
    """True if the text holds the name, an alias, or a part of a person's name."""
    return next(_places(text, entry), None) is not None


def least_known(entry: ForgetEntry, question: Question) -> str | None:
    """The true statement about the entry, nameless, whose words are the rarest in ordinary English; None if there is none
    that gives nothing of the question's answer away."""
    of_name = {word for name in entry.names for word in normalise(name).words if _is_telling(word)}
    secret = telling_words(question.answer, "") - of_name
    found = dict.fromkeys(nameless(one, entry) for one in _statements(entry))
    fitting = [one for one in found if secret.isdisjoint(words := normalise(one).words) and not of_name & set(words)]
    telling = [one for one in fitting if telling_words(one, question.question)]
    return max(telling, key=_rarity, default=None)


def _places(text: str, entry: ForgetEntry) -> Iterator[tuple[int, int]]:
    """Ranges to be replaced, from the left, without overlap."""
    view = normalise(text)
    phrases = sorted({normalise(name).words for name in entry.names}, key=len, reverse=True)
    parts = {word for phrase in phrases for word in phrase} if entry.kind is EntryKind.PERSON else set[str]()
    place = 0
    while place < len(view.words):
        length = next((len(words) for words in phrases if view.words[place : place + len(words)] == words), 0)
        length = length or _parts_at(text, view.words[place:], view.starts[place:], parts)
        if length:
            yield view.starts[place], view.ends[place + length - 1]
        place += max(1, length)


def _parts_at(text: str, words: Sequence[str], starts: Sequence[int], parts: set[str]) -> int:
    """How many words from the first on are written as parts of the name; 0 if all of them are short or little words."""
    length = 0
    while length < len(words) and words[length] in parts and text[starts[length]].isupper():
        length += 1
    return length if any(map(_is_telling, words[:length])) else 0


def _is_telling(word: str) -> bool:
    return len(word) >= _PART_CHARS and word not in known_words().little


def _statements(entry: ForgetEntry) -> Iterator[str]:
    for fact in entry.facts:
        is_whole = len(normalise(fact.answer).words) >= _FEWEST_WORDS or not fact.question
        yield fact.answer if is_whole else f"{fact.question} {fact.answer}"
    for span in sentences(entry.description):
        yield re.sub(r"\s+", " ", entry.description[span.start : span.end])


def _rarity(statement: str) -> float:
    """The weight of its rarest words."""
    return sum(nlargest(_RAREST, map(shipped_weights().of, terms_of(statement))))
