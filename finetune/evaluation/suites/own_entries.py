"""A suite of one's own: `entries.jsonl` (forget entries) and `qa.jsonl` (questions, see `finetune.data.qa`).

Training texts come from the entries alone (facts, description, documents), never from the questions, so that held-out
questions stay held out. `retain.jsonl`, if it is there, holds texts to keep (`{"text"}`, `{"prompt", "text"}` or
`{"question", "answer"}`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from finetune.data.forget_set import forget_sets
from finetune.data.qa import read_questions
from finetune.data.retain_set import corpus_retain
from finetune.data.rows import rows_of
from finetune.errors import InvalidData
from finetune.evaluation.suites.protocol import Suite, each_once
from retrieval.entry import ForgetEntry, parse_entry
from retrieval.errors import InvalidEntry


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnEntries:
    """No choices."""

    name: ClassVar[str] = "own"
    paper: ClassVar[str] = "none: the project's own format"

    def recognises(self, folder: Path) -> bool:
        """True for a folder with both files."""
        return (folder / "entries.jsonl").exists() and (folder / "qa.jsonl").exists()

    def read(self, folder: Path) -> Suite:
        """The suite. Raises `InvalidData` naming file and line."""
        entries = _entries(folder / "entries.jsonl")
        questions = read_questions(folder / "qa.jsonl", entries={entry.id for entry in entries if entry.id})
        telling = [entry for entry in entries if entry.facts or entry.description or entry.documents]
        sets = forget_sets(telling, rephrase=lambda _: (), shift=lambda _: ()) if telling else None
        names = [name for entry in entries for name in entry.names]
        corpus = folder / "retain.jsonl"
        retain = corpus_retain(corpus, names=names) if corpus.exists() else None
        return Suite(
            name=folder.name,
            entries=tuple(entries),
            questions=tuple(questions),
            forget_texts=each_once(sets.forget_texts) if sets else (),
            retain_texts=retain.texts if retain else (),
            left_out=retain.left_out if retain else 0,
        )


def _entries(path: Path) -> list[ForgetEntry]:
    found: dict[str, ForgetEntry] = {}
    for number, row in enumerate(rows_of(path), start=1):
        try:
            entry = parse_entry({"id": f"entry-{number}", **row.value})
        except InvalidEntry as error:
            raise row.wrong(str(error).rstrip(".")) from None
        if entry.id is None or entry.id in found:
            raise row.wrong("the id is null, or stands in an earlier line; ids must differ")
        found[entry.id] = entry
    if not found:
        raise InvalidData(f"{path} holds no entry; write one JSON object a line, each with at least a name.")
    return list(found.values())
