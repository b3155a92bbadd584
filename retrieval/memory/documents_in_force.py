"""An entry's documents without the claims that the operator switched off: what still counts of them.

A claim is found again by its words, whatever stands between them in the document. One that was gathered from a list under
its heading does not stand there in one piece, and its items stay. It does not know what reads the documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from retrieval.entry import ForgetEntry, MemoryEdit
from retrieval.memory.claims import claims_of
from retrieval.memory.items import switched_off
from retrieval.text.views import normalise


def documents_in_force(entry: ForgetEntry, edits: Sequence[MemoryEdit] = ()) -> list[str]:
    """The documents; the same texts where nothing of them is switched off."""
    if all(edit.enabled for edit in edits):
        return list(entry.documents)
    is_off = switched_off(edits)
    off = [claim.sentence for claim in claims_of(entry.name, entry.documents) if is_off("claim", claim.sentence)]
    return [_without(document, off) for document in entry.documents]


def _without(text: str, sentences: Sequence[str]) -> str:
    for sentence in sentences:
        for start, end in reversed(list(_places(text, normalise(sentence).words))):
            text = text[:start] + text[end:]
    return text


def _places(text: str, words: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """Where these words stand in a row, without overlaps."""
    view = normalise(text)
    place = 0
    while place + len(words) <= len(view.words):
        if words and view.words[place : place + len(words)] == words:
            yield view.starts[place], view.ends[place + len(words) - 1]
            place += len(words)
        else:
            place += 1
