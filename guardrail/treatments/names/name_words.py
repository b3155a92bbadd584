"""The words of a name, how they compare, and the invented word for each: what `stand_in` and `put_back` share.

A word is a run of letters or of digits; what an apostrophe ties to it ("O'", "'s") is none and stays as it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from guardrail.treatments.names.genders import Gender
from guardrail.treatments.names.invented_words import (
    BY_SIGN,
    LATIN,
    Draw,
    invented_word,
    is_near,
    little_word,
    looks_near,
    ordinary_word,
    other_digits,
    other_letter,
    persons_word,
    script_of,
)
from retrieval.text.known_words import known_words

# Marks that belong to the letter before them are no letters to a regular expression; Indic and Thai have many.
_MARKS = "\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u064b-\u065f\u0670\u0900-\u0963\u0971-\u0dff\u0e31-\u0e4e\u3099\u309a"
_WORD = re.compile(f"(?:[^\\W\\d_]|[{_MARKS}])+|\\d+")
_ACCENT = re.compile("[\u0300-\u036f\u064b-\u065f\u0670]")
_APOSTROPHES = ("'", "’", "ʼ")
_TIED_BEFORE_CHARS = 2
_TIED_BEHIND_CHARS = 3
_COMPARED_WORDS = 60  # an entry may have thousands of aliases
_KNOWN_TITLE_SHARE = 0.7


def words_in(name: str) -> list[re.Match[str]]:
    """The words of a name in place."""
    found = list(_WORD.finditer(name))
    return [match for match in found if not _is_tied(match, name)] or found


def _is_tied(match: re.Match[str], text: str) -> bool:
    word = match.group()
    if text[match.end() : match.end() + 1] in _APOSTROPHES and len(word) <= _TIED_BEFORE_CHARS:
        return True
    is_behind = match.start() > 0 and text[match.start() - 1] in _APOSTROPHES
    return is_behind and (len(word) < _TIED_BEHIND_CHARS or (len(word) == _TIED_BEHIND_CHARS and word.islower()))


def fold(word: str) -> str:
    """A word as it is compared: case and accents do not count."""
    plain = _ACCENT.sub("", unicodedata.normalize("NFKD", word))
    return unicodedata.normalize("NFC", plain).casefold()


def in_style_of(word: str, written: str) -> str:
    """`word` in the case of `written`: capitals throughout, small letters throughout, else as it is, begun as that is."""
    if len(written) > 1 and written.isupper():
        return word.upper()
    if written.islower():
        return word.lower()
    if word.islower() or (len(word) > 1 and word.isupper()):
        return word[:1].upper() + word[1:].lower()
    return word


def cased(invented: str, written: str) -> str:
    """An invented word, in small letters or begun with a capital, as `written` begins."""
    if len(written) > 1 and written.isupper():
        return invented.upper()
    has_small = written.upper() != written.lower()
    return invented[:1].upper() + invented[1:] if written[:1].isupper() or not has_small else invented


def is_english_title(words: Sequence[str]) -> bool:
    """True if a title is made of English words, as far as its words of three letters or more tell."""
    told = [word for word in words if len(word) > 2 and not word.isdigit()]
    is_known = not told or known_words().share(told) >= _KNOWN_TITLE_SHARE
    return is_known and all(script_of(word) == LATIN and not word.isdigit() for word in words[:1])


@dataclass(frozen=True, kw_only=True, slots=True)
class Ground:
    """What an invented word hangs on. `known`: the folded words of the entry's names."""

    key: bytes
    entry_id: str
    known: tuple[str, ...]
    is_title: bool
    is_person: bool = False
    gender: Gender | None = None

    def word(
        self,
        word: str,
        *,
        taken: Sequence[str],
        script: str,
        is_little: bool = False,
        is_noun: bool = True,
        is_last: bool = True,
        stands_alone: bool = False,
        is_abroad: bool = False,
    ) -> str:
        """The invented word, lower case. `taken`: the invented words of other words."""
        draw = Draw(self.key, self.entry_id, script, word)
        if word.isdigit():
            return other_digits(word, draw)
        all_taken = frozenset((*self.known, *taken))
        little = little_word(word, draw, all_taken) if is_little else None
        if little is not None:
            return little

        known = self.known[:_COMPARED_WORDS]

        def is_free(made: str) -> bool:
            looks_taken = made in all_taken or any(looks_near(made, other) for other in taken)
            return not looks_taken and not any(is_near(made, other) for other in (word, *known))

        if self.is_title and script == LATIN:
            ordinary = ordinary_word(draw, noun=is_noun, alone=stands_alone, is_free=is_free)
            if ordinary is not None:
                return ordinary
        if self.is_person and script == LATIN == script_of(word):
            name = persons_word(word, draw, family=is_last, gender=self.gender, is_free=is_free)
            if name is not None:
                return name
        signs = frozenset("".join((*known, *taken, word)))
        made = invented_word(word, draw, is_free=is_free, script=script, abroad=is_abroad, avoided=signs)
        return made or self._otherwise(word, draw, all_taken=all_taken, script=script, is_abroad=is_abroad)

    def _otherwise(self, word: str, draw: Draw, *, all_taken: frozenset[str], script: str, is_abroad: bool) -> str:
        """Where the names leave too little: a word that is far from this one and has no two signs in a row of another;
        if there are so many names that this fails as well, one that is none of them."""

        def is_other(made: str) -> bool:
            return made not in all_taken and made != word

        def is_apart(made: str) -> bool:
            return is_other(made) and not is_near(made, word) and pairs.isdisjoint(pairwise(made))

        pairs = frozenset(pair for other in all_taken for pair in pairwise(other)) if script in BY_SIGN else frozenset()
        draw_for = partial(invented_word, word, draw, script=script, abroad=is_abroad)
        made, longer = draw_for(is_free=is_apart, avoided=word), 0
        while made is None:
            made, longer = draw_for(is_free=is_other, longer=longer), longer + 1
        return made

    def letter(self, initial: str, *, taken: Sequence[str]) -> str:
        """Another initial."""
        draw = Draw(self.key, self.entry_id, "initial", initial)
        return other_letter(initial, draw, frozenset((*self.known, *taken)))
