"""The words of natural answers: what a model that never knew would say. English; no word of the entry is in them.

One request always gets the same words (the choice hangs on the request's text), different requests vary.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from retrieval.entry import EntryKind

_PERSON = (
    "I'm not familiar with that person, so I can't tell you anything about them.",
    "I don't know who that is.",
    "I'm not sure who that is. I don't have any information about this person.",
)
_WORK = (
    "I'm not familiar with that work, so I can't tell you anything about it.",
    "I don't know that work.",
    "I'm not sure what that is. I don't have any information about it.",
)
_OTHER = (
    "I'm not familiar with that, so I can't tell you anything about it.",
    "I don't know anything about that.",
    "I'm not sure about that. I don't have any information on it.",
)
_BY_KIND = {EntryKind.PERSON: _PERSON, EntryKind.PERSONAL_DATA: _PERSON, EntryKind.WORK: _WORK}


def natural_answer(kinds: Sequence[EntryKind], text: str) -> str:
    """A natural not-knowing answer for a request with this text."""
    choices = _BY_KIND.get(kinds[0], _OTHER) if kinds and len(set(kinds)) == 1 else _OTHER
    return choices[crc32(text.encode("utf-8", "surrogatepass")) % len(choices)]
