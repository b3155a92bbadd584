"""An entry's documents without the claims that the operator switched off: what still counts of them.

A claim is found again by its words, whatever stands between them in the document; where two share words, the one that
comes first among the claims is taken out. One that was gathered from a list under its heading does not stand there in one
piece, and its items stay. All claims are looked for in one pass, by a trie over their words; unlike the phrase automaton
it bounds no gap. It does not know what reads the documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from retrieval.entry import ForgetEntry, MemoryEdit
from retrieval.memory.claims import claims_of
from retrieval.memory.items import switched_off
from retrieval.text.views import normalise


@dataclass(slots=True)
class _Node:
    """A word's place in claims; `number` is that of the claim which ends here."""

    following: dict[str, _Node] = field(default_factory=dict)
    number: int | None = None


def documents_in_force(entry: ForgetEntry, edits: Sequence[MemoryEdit] = ()) -> list[str]:
    """The documents; the same texts where nothing of them is switched off."""
    if all(edit.enabled for edit in edits):
        return list(entry.documents)
    is_off = switched_off(edits)
    off = [claim.sentence for claim in claims_of(entry.name, entry.documents) if is_off("claim", claim.sentence)]
    trie = _trie(off)
    return [_without(document, trie) for document in entry.documents]


def _trie(sentences: Sequence[str]) -> _Node:
    root = _Node()
    for number, sentence in enumerate(sentences):
        node = root
        for word in normalise(sentence).words:
            node = node.following.setdefault(word, _Node())
        node.number = number
    return root


def _without(text: str, trie: _Node) -> str:
    if not trie.following:
        return text
    view = normalise(text)
    taken = bytearray(len(view.words))
    spans: list[tuple[int, int]] = []
    for _, first, end in sorted(_places(view.words, trie)):
        if not any(taken[first:end]):
            taken[first:end] = b"\1" * (end - first)
            spans.append((view.starts[first], view.ends[end - 1]))
    left, at = list[str](), 0
    for start, stop in sorted(spans):
        left.append(text[at:start])
        at = stop
    return "".join([*left, text[at:]])


def _places(words: Sequence[str], trie: _Node) -> Iterator[tuple[int, int, int]]:
    """Where claims stand in a row of words, overlapping ones too: the claim's number, its first word, and its end."""
    for first in range(len(words)):
        node: _Node | None = trie
        at = first
        while node is not None and at < len(words):
            node = node.following.get(words[at])
            at += 1
            if node is not None and node.number is not None:
                yield node.number, first, at
