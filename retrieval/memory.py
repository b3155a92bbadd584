"""What an entry remembers for comparison by meaning: the texts that are embedded, and what each of them is.

The core is short and made before an entry is acknowledged; documents follow in the background. It does not know
embedders, indexes or scores. Sizes are in characters (`_chars`) or counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from retrieval.entry import EntryKind, ForgetEntry
from retrieval.text.views import normalise, windows

MemoryKind = Literal["name", "alias", "description", "exemplar", "question", "statement", "document", "neighbor"]

CORE_LIMIT = 512
"""Most core texts of an entry; exemplars and neighbours beyond it are left out."""

DOCUMENTS_LIMIT = 512
"""Most document windows of an entry; more are thinned evenly."""

_WINDOW_CHARS = 300
_SHORTEST_WINDOW_CHARS = 24
_HEADING = re.compile(r"={2,}[^=\n]{1,120}={2,}")

_ASKED: dict[EntryKind, str] = {
    EntryKind.PERSON: "Who is {name}?",
    EntryKind.WORK: "What is {name} about?",
    EntryKind.FACT: "What is {name}?",
    EntryKind.TOPIC: "Tell me about {name}.",
    EntryKind.HAZARD: "How does one make or use {name}?",
    EntryKind.PERSONAL_DATA: "What do you know about {name}?",
    EntryKind.STYLE: "In the style of {name}.",
    EntryKind.OBJECT: "What is {name}?",
    EntryKind.CUSTOM: "Who or what is {name}?",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryText:
    """One text to embed; "neighbor" texts are near and must stay untouched."""

    kind: MemoryKind
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryTexts:
    """The texts of an entry, each once."""

    core: list[MemoryText]
    documents: list[MemoryText]


def memory_texts(entry: ForgetEntry) -> MemoryTexts:
    """Everything of `entry` that is compared by meaning."""
    return MemoryTexts(core=core_texts(entry), documents=document_texts(entry))


def core_texts(entry: ForgetEntry) -> list[MemoryText]:
    """Names as questions, description, exemplars, the facts' questions and statements, and the hard negatives.

    An answer alone is not compared: by itself it says too little ("1947"), and the phrases look after it.
    """
    asked = _ASKED[entry.kind]
    texts = [MemoryText(kind="name", text=asked.format(name=entry.name))]
    texts += [MemoryText(kind="alias", text=asked.format(name=alias)) for alias in entry.aliases]
    if entry.description:
        texts.append(MemoryText(kind="description", text=entry.description))
    for fact in entry.facts:
        if fact.question:
            texts.append(MemoryText(kind="question", text=fact.question))
        else:
            texts.append(MemoryText(kind="statement", text=fact.answer))
    neighbors = [MemoryText(kind="neighbor", text=text) for text in entry.neighbors]
    texts += [MemoryText(kind="exemplar", text=text) for text in entry.exemplars]
    room_for_neighbors = CORE_LIMIT // 4
    return [*_each_once(texts)[: CORE_LIMIT - room_for_neighbors], *_each_once(neighbors)[:room_for_neighbors]]


def document_texts(entry: ForgetEntry) -> list[MemoryText]:
    """The documents' sentences, and whole short passages; evenly thinned to `DOCUMENTS_LIMIT`."""
    texts = _each_once(
        MemoryText(kind="document", text=passage[start:end])
        for document in entry.documents
        for passage in [_HEADING.sub("\n", document)]
        for start, end in windows(passage, _WINDOW_CHARS)
        if _SHORTEST_WINDOW_CHARS <= end - start <= _WINDOW_CHARS
    )
    if len(texts) <= DOCUMENTS_LIMIT:
        return texts
    return [texts[number * len(texts) // DOCUMENTS_LIMIT] for number in range(DOCUMENTS_LIMIT)]


def _each_once(texts: Iterable[MemoryText]) -> list[MemoryText]:
    """Without texts that compare equal, and without texts that hold no word; the first of each stays."""
    found: dict[tuple[str, ...], MemoryText] = {}
    for text in texts:
        words = normalise(text.text).words
        if words:
            found.setdefault(words, text)
    return list(found.values())
