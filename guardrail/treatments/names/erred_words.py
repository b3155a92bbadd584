"""A stand-in's word written a little otherwise: models err when they copy names that they never saw.

    Erickson   ->   Erichson, Ericksun     but not Ericson, whose name that is, nor what the caller wrote

Told by the first two letters and by one slip in four letters. A word that one knows, one that the caller wrote and one
that stands for something itself are never taken for another; nor is a Latin word that is other at its end only, as
Nicolai is not Nicolas. Directly behind a given name that was turned back, known names and other ends count as well.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from rapidfuzz.distance import OSA

from retrieval.text.known_words import known_words

FEWEST_LETTERS = 6
"""A shorter word is like too many others."""

_LETTERS_PER_SLIP = 4


def may_err(word: str, begun: str) -> bool:
    """May a word that begins so be `word` written otherwise? Both as they are compared."""
    return len(word) >= FEWEST_LETTERS and begun[:2] == word[:2]


class ErredWords:
    """What one request leaves to be taken for an error. `stays`: is a word, as it is compared, one that means itself?"""

    def __init__(self, stays: Callable[[str], bool]) -> None:
        self._stays = stays

    def stays(self, found: str) -> bool:
        """True for a word of the caller's, and for one that is a stand-in's as it is."""
        return self._stays(found)

    def slips(self, word: str, found: str, *, vowel: bool = False, behind_given: bool = False) -> int:
        """How many slips make `word` into `found`; 0 if it is no error. `vowel`: what was found has one more at its end."""
        compared = found[:-1] if vowel else found
        if not may_err(word, found) or found == word:
            return 0
        most = len(word) // _LETTERS_PER_SLIP
        slips = OSA.distance(word, compared, score_cutoff=most)
        if slips > most or self._stays(found):
            return 0
        if behind_given:
            return slips if found in _names() or not _is_known(found) else 0
        is_other_end = not vowel and found.isascii() and word[:-1] in (found, found[:-1])
        return 0 if is_other_end or _is_known(found) else slips


def _is_known(found: str) -> bool:
    words = known_words().words
    return found in words or found.removesuffix("s") in words


@cache
def _names() -> frozenset[str]:
    known = known_words()
    return frozenset((*known.first_names, *known.last_names))
