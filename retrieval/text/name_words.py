"""The words that registered names are made of, found when they are misspelt, written in leet, or shifted.

    near       one or two slips away: a neighbourhood of deletions (SymSpell, Garbe 2012), then optimal string alignment
    from_leet  the same but for letters that one digit stands for ("l" and "i", "g" and "b")
    shifts     a Caesar shift of the word, told by the steps between its letters

Words come and go one by one; nothing is rebuilt. It does not know names, texts or entries. Distances count insertions,
deletions, substitutions and swaps of neighbours.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from rapidfuzz.distance import OSA

_PREFIX_CHARS = 7
_NEAR_FROM_CHARS = 3
_TWO_FROM_CHARS = 5
_SHIFT_FROM_CHARS = 4
_MEMO_LIMIT = 20_000
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"

_SKELETON = str.maketrans("ijlbgqsz0123456789", "iiigggssoiseasgtgg")


def slips_allowed(chars: int) -> int:
    """How many slips a word of that length may hold and still be told."""
    if chars < 3:
        return 0
    return 2 if chars >= _TWO_FROM_CHARS else 1


def slips_between(found: str, word: str) -> int | None:
    """The slips that make `word` into `found`; None if they are more than it may hold."""
    if found == word:
        return 0
    limit = slips_allowed(len(word))
    if abs(len(found) - len(word)) > limit:
        return None
    distance = OSA.distance(found, word, score_cutoff=limit)
    return distance if distance <= limit and (distance < 2 or begins_alike(found, word)) else None


def begins_alike(found: str, word: str) -> bool:
    """The same first letter, or the first two swapped: people seldom miss it twice."""
    return found[:1] == word[:1] or found[:2] == word[1::-1]


def skeleton(word: str) -> str:
    """A word but for the letters and digits that pass for one another in leet; as long as the word."""
    return word.translate(_SKELETON)


def steps(word: str) -> str:
    """The steps from letter to letter, which no Caesar shift changes; of ASCII letters only."""
    return "".join(_ALPHABET[(ord(after) - ord(before)) % 26] for before, after in pairwise(word))


def _deletions(word: str, limit: int) -> set[str]:
    """The word's beginning, and what remains of it without up to `limit` letters."""
    found = {word[:_PREFIX_CHARS]}
    last = found
    for _ in range(limit):
        last = {rest[:place] + rest[place + 1 :] for rest in last for place in range(len(rest))}
        found |= last
    return found


class NameWords:
    """See the module. Not thread-safe: one thread owns it."""

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()
        self._deletions: dict[str, tuple[str, ...]] = {}
        self._skeletons: dict[str, tuple[str, ...]] = {}
        self._steps: dict[str, tuple[str, ...]] = {}
        self._memo: dict[str, tuple[str, ...]] = {}

    def __contains__(self, word: str) -> bool:
        return word in self._count

    def add(self, word: str) -> None:
        """One more name has this word."""
        self._count[word] += 1
        if self._count[word] > 1:
            return
        self._memo.clear()
        for table, key in self._places(word):
            table[key] = (*table.get(key, ()), word)

    def remove(self, word: str) -> None:
        """One name less has this word."""
        if self._count[word] > 1:
            self._count[word] -= 1
            return
        if not self._count.pop(word, 0):
            return
        self._memo.clear()
        for table, key in self._places(word):
            rest = tuple(other for other in table[key] if other != word)
            if rest:
                table[key] = rest
            else:
                del table[key]

    def _places(self, word: str) -> list[tuple[dict[str, tuple[str, ...]], str]]:
        places = [(self._skeletons, skeleton(word))]
        if len(word) >= _NEAR_FROM_CHARS:
            places += [(self._deletions, key) for key in _deletions(word, slips_allowed(len(word)))]
        if len(word) >= _SHIFT_FROM_CHARS and word.isascii() and word.isalpha():
            places.append((self._steps, steps(word)))
        return places

    def near(self, found: str) -> tuple[str, ...]:
        """The registered words that `found` may be a misspelling of; not the word itself. Remembers its answers."""
        known = self._memo.get(found)
        if known is None:
            known = tuple(self._near(found))
            if len(self._memo) >= _MEMO_LIMIT:
                self._memo.clear()
            self._memo[found] = known
        return known

    def _near(self, found: str) -> list[str]:
        limit = 2 if len(found) >= _TWO_FROM_CHARS - 2 else 1
        words = {word for key in _deletions(found, limit) for word in self._deletions.get(key, ())}
        return [word for word in sorted(words) if word != found and slips_between(found, word) is not None]

    def from_leet(self, found: str) -> tuple[str, ...]:
        """The registered words that `found` (letters and digits) may stand for."""
        return self._skeletons.get(skeleton(found), ())

    def shifts(self, found: str) -> set[int]:
        """By how many letters `found` was moved on if it is a registered word; lower case ASCII letters only."""
        if len(found) < _SHIFT_FROM_CHARS or not (found.isascii() and found.isalpha()):
            return set()
        words = self._steps.get(steps(found), ())
        return {(ord(found[0]) - ord(word[0])) % 26 for word in words} - {0}
