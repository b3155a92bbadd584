"""Clues: what in a text tells of an entry beside its names, as far as the entry's own texts hold it.

    Who published 'The Matrimony Plan'?   ->   The Matrimony Plan

A clue stands in quotation marks, and its words stand in a row in the entry's description, facts or documents. Words
without such marks are no clues, whatever they say: they are what ordinary questions are made of. It knows neither
detections nor stand-ins.
"""

from __future__ import annotations

import re
from functools import lru_cache

from retrieval.entry import ForgetEntry
from retrieval.text.views import normalise

_QUOTED = re.compile(
    r"(?<!\w)(?:[\"“„](?=[^\W\d_])([^\"“”„«»\n]{3,80}?)[\"”“]|[‘'«](?=[^\W\d_])([^\"“”„«»\n]{3,80}?)[’'»](?!\w))"
)
_MOST = 16
_KEPT_TEXTS = 256


def clues_in(text: str, entry: ForgetEntry) -> list[tuple[int, int]]:
    """The clues of a text as spans that do not overlap, in order; at most a few."""
    told = _told(entry)
    if not told.strip():
        return []
    spans: list[tuple[int, int]] = []
    for found in _QUOTED.finditer(text):
        start, end = found.span(found.lastindex or 0)
        end = start + len(text[start:end].rstrip(".,;:!? "))
        if f" {_words(text[start:end])} " in told and len(spans) < _MOST:
            spans.append((start, end))
    return spans


def _words(text: str) -> str:
    return " ".join(normalise(text).words)


def _told(entry: ForgetEntry) -> str:
    """The words of the entry's own texts, between spaces."""
    facts = [f"{fact.question or ''} {fact.answer}" for fact in entry.facts]
    return _between_spaces("\n".join([entry.description, *entry.documents, *facts]))


@lru_cache(maxsize=_KEPT_TEXTS)
def _between_spaces(text: str) -> str:
    return f" {_words(text)} "
