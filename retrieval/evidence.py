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

SHOWN_TEXTS = 3
LOOKED_ROWS = 6
"""Rows to ask for: names and descriptions among them are shown already."""

_DESCRIPTION_CHARS = 200
_TEXT_CHARS = 220
_KNOWN_ENTRIES = 256
_SHOWN_ANYWAY = ("name", "alias", "description", "neighbor")


class EvidenceBook:
    """Entries and the texts of their memories, made again when they are asked for. Safe across threads."""

    def __init__(self) -> None:
        self._entries: dict[str, RegisteredEntry] = {}
        self._texts: OrderedDict[tuple[str, int], MemoryTexts] = OrderedDict()
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

    def shown(self, entry_id: str, rows: Sequence[Row]) -> str:
        """The evidence of an entry by its telling rows; empty for an unknown entry."""
        record = self._entries.get(entry_id)
        if record is None:
            return ""
        return evidence_of(record.entry, self.texts(entry_id), rows)


def evidence_of(entry: ForgetEntry, texts: MemoryTexts, rows: Sequence[Row]) -> str:
    """Name, description and the first `SHOWN_TEXTS` of the texts at `rows` that are neither."""
    told: list[str] = []
    for row in rows:
        part = texts.core if row.part == "core" else texts.documents
        if row.number < len(part) and part[row.number].kind not in _SHOWN_ANYWAY:
            told.append((part[row.number].evidence or part[row.number].text)[:_TEXT_CHARS])
    parts = [f"{entry.name}.", entry.description[:_DESCRIPTION_CHARS], " | ".join(told[:SHOWN_TEXTS])]
    return " ".join(part for part in parts if part)
