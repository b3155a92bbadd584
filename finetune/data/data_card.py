"""What went into a run: how much of what, from where, under which seed. No text of an entry, only counts and hashes.

A set's hash is the SHA-256 of its texts in canonical JSON: two runs on the same data have the same hashes. It does not
know methods or results.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict

from finetune.data.qa import Question
from finetune.data.training_text import TrainingText
from finetune.data.whole_files import content_sha256, write_whole
from retrieval.entry import ForgetEntry


class _Card(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SetCard(_Card):
    """One set. `chars` counts prompts, questions and answers together."""

    count: int
    chars: int
    sha256: str


class DataCard(_Card):
    """The content of `data_card.json`. `entries` are fingerprints by id, `left_out` counts of unused texts by why."""

    seed: int
    training: dict[str, SetCard]
    evaluation: dict[str, SetCard]
    entries: dict[str, str]
    sources: dict[str, str]
    left_out: dict[str, int]


def data_card(
    *,
    seed: int,
    training: Mapping[str, Sequence[TrainingText]],
    evaluation: Iterable[Question],
    entries: Iterable[ForgetEntry] = (),
    sources: Mapping[str, str] | None = None,
    left_out: Mapping[str, int] | None = None,
) -> DataCard:
    """The card of a run: training texts by part ("forget", "retain", "alternative"), questions by their split."""
    by_split: dict[str, list[Question]] = {}
    for question in evaluation:
        by_split.setdefault(question.split, []).append(question)
    return DataCard(
        seed=seed,
        training={part: _card([(one.prompt, one.text) for one in texts]) for part, texts in training.items()},
        evaluation={
            split: _card([(one.question, one.answer) for one in asked]) for split, asked in sorted(by_split.items())
        },
        entries={entry.id or "": entry.fingerprint() for entry in entries},
        sources=dict(sources or {}),
        left_out=dict(left_out or {}),
    )


def write_data_card(path: Path, card: DataCard) -> None:
    """The card as JSON; it replaces an older one as a whole."""
    write_whole(path, orjson.dumps(card.model_dump(), option=orjson.OPT_INDENT_2) + b"\n")


def _card(pairs: Sequence[tuple[str, str]]) -> SetCard:
    return SetCard(
        count=len(pairs),
        chars=sum(len(prompt) + len(text) for prompt, text in pairs),
        sha256=content_sha256(pairs),
    )
