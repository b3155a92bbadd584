"""Which words are ordinary, and which are people's names: what keeps a near spelling from being a word of its own.

A list of about 30,000 words and names (`known_words.txt`, sources in its headings) read once, when first asked for. It
knows English best; a word of another language may be missing, which costs time and never a match by itself: see
`name_words`. All words are lower case ASCII.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_COMMON_LAST_NAMES = 300
_LITTLE_WORDS = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownWords:
    """`words`: all of them, names too; `ordinary`: all but the names; `little`: the few hundred that make up most of any
    text; `common_last_names`: those that many people share. `first_names` and `last_names`: most frequent first."""

    words: frozenset[str]
    ordinary: frozenset[str]
    little: frozenset[str]
    common_last_names: frozenset[str]
    first_names: tuple[str, ...]
    last_names: tuple[str, ...]

    def share(self, words: Iterable[str]) -> float:
        """Which part of the words of three letters or more is known; 0 where there are none."""
        told = [word for word in words if len(word) > 2]
        return sum(word in self.words for word in told) / len(told) if told else 0.0


@cache
def known_words() -> KnownWords:
    """The list."""
    text = files("retrieval.text").joinpath("known_words.txt").read_text(encoding="ascii")
    _, words, first, last = (section.split("\n")[1:] for section in ("\n" + text).split("# "))
    last = [name for name in last if name]
    return KnownWords(
        words=frozenset(word for word in (*words, *first, *last) if word),
        ordinary=frozenset(word for word in words if word),
        little=frozenset(words[:_LITTLE_WORDS]),
        common_last_names=frozenset(last[:_COMMON_LAST_NAMES]),
        first_names=tuple(name for name in first if name),
        last_names=tuple(last),
    )
