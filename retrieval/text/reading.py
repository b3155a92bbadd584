"""A text read in another way, and where each of its characters stands in the text as written.

Pure values: they know nothing of names or of why somebody reads so. `starts[i]` and `ends[i]` are the original range of
the reading's i-th character; several characters may share one (a decoded span).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.text.views import Span

WORD_LIMIT_CHARS = 128

_BACK = re.compile(r"\S*\Z")
_FORTH = re.compile(r"\S*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """`how` names the way ("leet", "base64", ...). `is_loose`: the reading consists of fragments, so that words which
    are cut anywhere may be put together. `is_whole`: it makes other sense of running text, so it is worth comparing by
    meaning too."""

    how: str
    text: str
    starts: Sequence[int]
    ends: Sequence[int]
    is_loose: bool = False
    is_whole: bool = True

    def original(self, start: int, end: int) -> Span:
        """The original range of `text[start:end]`; reversed readings run backwards."""
        first, last = start, max(start, end - 1)
        return Span(
            min(self.starts[first], self.starts[last]),
            max(self.ends[first], self.ends[last]),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodedSpan:
    """What a part of a text says once it is decoded."""

    how: str
    start: int
    end: int
    text: str


class Writer:
    """Builds a reading piece by piece."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._starts: list[int] = []
        self._ends: list[int] = []

    def keep(self, text: str, start: int, end: int) -> None:
        """The original characters from `start` to `end`, as they are."""
        self.copy(text[start:end], start)

    def copy(self, part: str, start: int) -> None:
        """Characters that stand for as many original ones from `start` on."""
        self._parts.append(part)
        self._starts.extend(range(start, start + len(part)))
        self._ends.extend(range(start + 1, start + 1 + len(part)))

    def put(self, part: str, start: int, end: int) -> None:
        """Characters that together stand for an original range."""
        self._parts.append(part)
        self._starts.extend([start] * len(part))
        self._ends.extend([end] * len(part))

    def reading(self, how: str, *, is_loose: bool = False, is_whole: bool = True) -> Reading:
        """What was written so far."""
        return Reading(
            how=how,
            text="".join(self._parts),
            starts=self._starts,
            ends=self._ends,
            is_loose=is_loose,
            is_whole=is_whole,
        )


def in_span(how: str, text: str, start: int, end: int) -> Reading:
    """A reading of which every character stands for the same original range."""
    return Reading(how=how, text=text, starts=[start] * len(text), ends=[end] * len(text))


def word_bounds(text: str, place: int) -> tuple[int, int]:
    """The stretch without white space around a place, looked for within `WORD_LIMIT_CHARS` on either side."""
    before = _BACK.search(text[max(0, place - WORD_LIMIT_CHARS) : place])
    after = _FORTH.match(text, place, place + WORD_LIMIT_CHARS)
    return place - (len(before.group()) if before else 0), after.end() if after else place
