"""What an entry remembers for comparison by meaning: the texts that are embedded, and what each of them is.

The core is short and made before an entry is acknowledged; documents follow in the background. It does not know
embedders, indexes or scores. Sizes are in characters (`_chars`) or counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from retrieval.entry import ForgetEntry, MemoryEdit
from retrieval.memory.claims import CLAIM_CHARS, CLAIMS_LIMIT, claim_of, claims_of
from retrieval.memory.items import switched_off
from retrieval.memory.questions import ASKED
from retrieval.text.views import normalise

MemoryKind = Literal["name", "alias", "description", "exemplar", "question", "statement", "document", "neighbor"]

CORE_LIMIT = 512
"""Most core texts of an entry; exemplars and neighbours beyond it are left out."""

DOCUMENTS_LIMIT = CLAIMS_LIMIT
"""Most document texts of an entry; more are thinned evenly."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryText:
    """One text to embed; "neighbor" texts are near and must stay untouched.

    `evidence` is what a judge who knows the entry's name is shown; empty where it is the text itself.
    """

    kind: MemoryKind
    text: str
    evidence: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryTexts:
    """The texts of an entry, each once."""

    core: list[MemoryText]
    documents: list[MemoryText]


def memory_texts(entry: ForgetEntry, edits: Sequence[MemoryEdit] = ()) -> MemoryTexts:
    """Everything of `entry` that is compared by meaning; the same for the same entry and edits."""
    return MemoryTexts(core=core_texts(entry, edits), documents=document_texts(entry, edits))


def core_texts(entry: ForgetEntry, edits: Sequence[MemoryEdit] = ()) -> list[MemoryText]:
    """Names as questions, description, exemplars, the facts' questions and statements, and the hard negatives.

    An answer alone is not compared: by itself it says too little ("1947"), and the phrases look after it.
    """
    asked = ASKED[entry.kind]
    aliases = [*entry.aliases, *_added(edits, "alias")]
    texts = [MemoryText(kind="name", text=asked.format(name=entry.name))]
    texts += [MemoryText(kind="alias", text=asked.format(name=alias)) for alias in aliases]
    if entry.description:
        texts.append(MemoryText(kind="description", text=entry.description))
    for fact in entry.facts:
        if fact.question:
            texts.append(MemoryText(kind="question", text=fact.question))
        else:
            texts.append(MemoryText(kind="statement", text=fact.answer))
    texts += [MemoryText(kind="question", text=text) for text in _added(edits, "question")]
    neighbors = [MemoryText(kind="neighbor", text=text) for text in (*entry.neighbors, *_added(edits, "neighbor"))]
    texts += [MemoryText(kind="exemplar", text=text) for text in (*entry.exemplars, *_added(edits, "exemplar"))]
    room_for_neighbors = CORE_LIMIT // 4
    return [*_each_once(texts)[: CORE_LIMIT - room_for_neighbors], *_each_once(neighbors)[:room_for_neighbors]]


def document_texts(entry: ForgetEntry, edits: Sequence[MemoryEdit] = ()) -> list[MemoryText]:
    """The claims of the documents, at most `DOCUMENTS_LIMIT`, without those that are switched off; then added ones."""
    off = switched_off(edits)
    claims = [claim for claim in claims_of(entry.name, entry.documents) if not off("claim", claim.sentence)]
    added = [claim_of(entry.name, text[:CLAIM_CHARS]) for text in _added(edits, "claim")]
    return [MemoryText(kind="document", text=claim.text, evidence=claim.sentence) for claim in (*claims, *added)]


def _added(edits: Sequence[MemoryEdit], kind: str) -> list[str]:
    return [edit.text for edit in edits if edit.kind == kind and edit.enabled and edit.text]


def _each_once(texts: Iterable[MemoryText]) -> list[MemoryText]:
    """Without texts that compare equal, and without texts that hold no word; the first of each stays."""
    found: dict[tuple[str, ...], MemoryText] = {}
    for text in texts:
        words = normalise(text.text).words
        if words:
            found.setdefault(words, text)
    return list(found.values())
