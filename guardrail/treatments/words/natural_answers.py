"""The words of natural answers: what a model that never knew would say, in the language of the request.

One request always gets the same words (the choice hangs on the request's text), different requests vary. No word of the
entry is in them. The sentences are in `not_knowing_words`; which language a text is in is `language_of`'s guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from guardrail.treatments.words.language_of import language_of
from guardrail.treatments.words.not_knowing_words import WORDS, NotKnowingWords
from retrieval.entry import EntryKind

_PEOPLE = frozenset((EntryKind.PERSON, EntryKind.PERSONAL_DATA))


def natural_answer(kinds: Sequence[EntryKind], text: str) -> str:
    """A natural not-knowing answer for a request with this text."""
    choices = _choices(_words(text), kinds)
    return choices[crc32(text.encode("utf-8", "surrogatepass")) % len(choices)]


def instruction_words(text: str) -> str:
    """The instruction to answer as one that never knew, for a request with this text; `{names}` is left open."""
    words = _words(text)
    return words.instruction.replace("{unfamiliar}", words.unfamiliar)


def closing_words(text: str) -> str:
    """What ends an answer to a request with this text where it was cut inside a sentence."""
    return _words(text).closing


def _words(text: str) -> NotKnowingWords:
    return WORDS[language_of(text)]


def _choices(words: NotKnowingWords, kinds: Sequence[EntryKind]) -> tuple[str, ...]:
    if len(set(kinds)) != 1:
        return words.other
    if kinds[0] in _PEOPLE:
        return words.person
    return words.work if kinds[0] is EntryKind.WORK else words.other
