"""What a judge is shown of an entry: its name, its description and the few texts of its memory that tell most.

    name. description sentence | sentence | sentence

The shipped judge was trained on this form (`judges/weights/CARD.md`). Sizes are in characters (`_CHARS`). It does not
choose the texts and knows no scores.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

from retrieval.candidates import Row
from retrieval.entry import ForgetEntry, RegisteredEntry
from retrieval.memory import MemoryTexts, memory_texts
from retrieval.memory.attributes import Attribute, attributes, conflict
from retrieval.text.views import normalise

SHOWN_TEXTS = 3
LOOKED_ROWS = 6
"""Rows to ask for: names and descriptions among them are shown already."""

_DESCRIPTION_CHARS = 200
_TEXT_CHARS = 220
_KNOWN_ENTRIES = 256
_CERTAIN_CONFLICT = 0.99
_SHOWN_ANYWAY = ("name", "alias", "description", "neighbor")


class EvidenceBook:
    """Entries and the texts of their memories, made again when they are asked for. Safe across threads."""

    def __init__(self) -> None:
        self._entries: dict[str, RegisteredEntry] = {}
        self._texts: OrderedDict[tuple[str, int], MemoryTexts] = OrderedDict()
        self._attributes: OrderedDict[tuple[str, int], frozenset[Attribute]] = OrderedDict()
        self._lock = Lock()

    def take(self, record: RegisteredEntry) -> None:
        """An entry in its newest revision."""
        self._entries[record.id] = record

    def drop(self, entry_id: str) -> None:
        """An entry that is no more; one that is unknown is no error."""
        self._entries.pop(entry_id, None)

    def entry(self, entry_id: str) -> ForgetEntry | None:
        """The entry; None for an unknown id."""
        record = self._entries.get(entry_id)
        return record.entry if record is not None else None

    def texts(self, entry_id: str) -> MemoryTexts:
        """The entry's memory; empty for an unknown entry. Milliseconds for a long page, for threads."""
        record = self._entries.get(entry_id)
        if record is None:
            return MemoryTexts(core=[], documents=[])
        key = record.id, record.revision
        with self._lock:
            if key in self._texts:
                self._texts.move_to_end(key)
                return self._texts[key]
        made = memory_texts(record.entry, record.edits)
        with self._lock:
            self._texts[key] = made
            if len(self._texts) > _KNOWN_ENTRIES:
                self._texts.popitem(last=False)
        return made

    def contradicts(self, entry_id: str, text: str) -> bool:
        """True if a text that does not name the entry gives a date, number or code that another than the entry's must have.

        "The author born in Ribe on 5 May 1921" is nobody who was born there on the fourth.
        """
        record = self._entries.get(entry_id)
        asked = attributes(text)
        if record is None or not asked or _names(record.entry, text):
            return False
        key = record.id, record.revision
        with self._lock:
            own = self._attributes.get(key)
        if own is None:
            told = [record.entry.description, *record.entry.documents, *record.entry.exemplars]
            told += [f"{fact.question or ''} {fact.answer}" for fact in record.entry.facts]
            own = attributes("\n".join(told))
            with self._lock:
                self._attributes[key] = own
                if len(self._attributes) > _KNOWN_ENTRIES:
                    self._attributes.popitem(last=False)
        return conflict(asked, own) >= _CERTAIN_CONFLICT

    def shown(self, entry_id: str, rows: Sequence[Row]) -> str:
        """The evidence of an entry by its telling rows; empty for an unknown entry."""
        record = self._entries.get(entry_id)
        if record is None:
            return ""
        return evidence_of(record.entry, self.texts(entry_id), rows)


def _names(entry: ForgetEntry, text: str) -> bool:
    words = set(normalise(text).words)
    return any(set(normalise(name).words) <= words for name in entry.names)


def evidence_of(entry: ForgetEntry, texts: MemoryTexts, rows: Sequence[Row]) -> str:
    """Name, description and the first `SHOWN_TEXTS` of the texts at `rows` that are neither."""
    told: list[str] = []
    for row in rows:
        part = texts.core if row.part == "core" else texts.documents
        if row.number < len(part) and part[row.number].kind not in _SHOWN_ANYWAY:
            told.append((part[row.number].evidence or part[row.number].text)[:_TEXT_CHARS])
    parts = [f"{entry.name}.", entry.description[:_DESCRIPTION_CHARS], " | ".join(told[:SHOWN_TEXTS])]
    return " ".join(part for part in parts if part)
