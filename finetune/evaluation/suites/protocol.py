"""What a suite is: questions by split, and texts to train on, read from a folder in a public or our own format.

Readers know file formats, not models or metrics, and fetch nothing: the folder must be there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from finetune.data.qa import Question, Split, paraphrases_of
from finetune.data.training_text import TrainingText
from retrieval.entry import ForgetEntry


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """A suite as read. What a format does not have is empty.

    `left_out` counts texts to keep that are none, as they name what is to be forgotten. `holdout_texts` were never trained
    on; `member_texts` are what is to be told from them in membership inference, where the suite names such texts (else the
    forget texts are).
    """

    name: str
    questions: tuple[Question, ...]
    entries: tuple[ForgetEntry, ...] = ()
    forget_texts: tuple[TrainingText, ...] = ()
    retain_texts: tuple[TrainingText, ...] = ()
    left_out: int = 0
    holdout_texts: tuple[TrainingText, ...] = ()
    member_texts: tuple[TrainingText, ...] = ()

    def of(self, split: Split) -> list[Question]:
        """The questions of a split; paraphrases include those that forget questions carry."""
        found = [one for one in self.questions if one.split == split]
        return [*found, *paraphrases_of(self.questions)] if split == "paraphrase" else found


class SuiteReader(Protocol):
    """A frozen dataclass whose fields choose parts of the suite."""

    name: ClassVar[str]
    paper: ClassVar[str]

    def recognises(self, folder: Path) -> bool:
        """True if the folder holds files of this format."""

    def read(self, folder: Path) -> Suite:
        """The suite. Raises `InvalidData` naming file and line."""


def each_once(texts: Iterable[TrainingText]) -> tuple[TrainingText, ...]:
    """Without texts that stand twice."""
    return tuple({(one.prompt, one.text): one for one in reversed(list(texts))}.values())[::-1]
