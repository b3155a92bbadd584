"""Does a statement add names or numbers to what the caller handed in?

A caller may have the model tell what his own content holds, in other words as well. What a model puts in of its own
memory comes with names and numbers that the content lacks; statements without such are left alone, for retelling a page
is what pages are handed in for. Pure functions of words: they know no entries and no verdicts.

Limits: scripts without capitals show new numbers only; languages that write every noun large show more than names.
"""

from __future__ import annotations

import re

from retrieval.text.views import normalise

_WORD = re.compile(r"[^\W_]+(?:['’.\-][^\W_]+)*")
_OWNING = re.compile(r"['’]s\Z", re.IGNORECASE)
_FIRST_PERSON = frozenset({"i", "im", "ive", "id", "ill"})


def adds(statement: str, known: frozenset[str]) -> bool:
    """True if a number, or a word with a capital that does not begin the statement, has a part that is not among `known`
    (the content's words, normalised)."""
    for place, match in enumerate(_WORD.finditer(statement)):
        word = match.group()
        is_number = any(character.isdigit() for character in word)
        if not is_number and (place == 0 or not word[0].isupper()):
            continue
        words = normalise(_OWNING.sub("", word)).words
        if "".join(words) not in _FIRST_PERSON and not known.issuperset(words):
            return True
    return False
