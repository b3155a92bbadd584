"""What a prompt gives away without saying it word by word: a date in another form, the two that "parents" are, a guess.

Whoever repeats 08/09/1956 as "8th of September, 1956" tells nothing, nor does he who calls one of somebody's parents his
father, or, asked for a gender, says one of two. Words are folded as everywhere (`normalise`). It knows texts alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from retrieval.text.views import normalise

MONTHS: Final = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
IMPLIED: Final[Mapping[str, tuple[str, ...]]] = {
    "parent": ("father", "mother", "dad", "mom"),
    "parents": ("father", "mother", "dad", "mom"),
    "siblings": ("brother", "brothers", "sister", "sisters"),
    "gender": ("male", "female", "man", "woman"),
    "sex": ("male", "female", "man", "woman"),
}
"""A word of the prompt -> words that whoever knows nothing says as well."""

_NUMERIC = re.compile(r"(?<!\d)(?:(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})|(\d{4})[/.-](\d{1,2})[/.-](\d{1,2}))(?!\d)")
_NAMED = "|".join(MONTHS)
_WRITTEN = re.compile(
    rf"\b(\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?({_NAMED})\b|\b({_NAMED})\s+(?:the\s+)?(\d{{1,2}})(?:st|nd|rd|th)?\b",
    re.IGNORECASE,
)


def given_away(prompt: str) -> frozenset[str]:
    """Words that an answer to this prompt may hold without telling anything, beside the prompt's own."""
    implied = (word for own in normalise(prompt).words for word in IMPLIED.get(own, ()))
    return frozenset((*implied, *_date_words(prompt)))


def _date_words(prompt: str) -> Iterator[str]:
    """All dates of the prompt in every form; of 08/09 both could be the month."""
    for match in _NUMERIC.finditer(prompt):
        first, second, last = match[1] or match[5], match[2] or match[6], match[3] or match[4]
        yield last
        yield from (*_day_words(int(first)), *_day_words(int(second)))
        yield from (*_month_words(int(first)), *_month_words(int(second)))
    for match in _WRITTEN.finditer(prompt):
        yield from _day_words(int(match[1] or match[4]))
        yield from _month_words(MONTHS.index((match[2] or match[3]).lower()) + 1)


def _day_words(day: int) -> tuple[str, ...]:
    ending = "th" if 10 < day % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return (str(day), f"{day:02}", f"{day}{ending}")


def _month_words(month: int) -> tuple[str, ...]:
    return (MONTHS[month - 1], str(month), f"{month:02}") if 1 <= month <= len(MONTHS) else ()
