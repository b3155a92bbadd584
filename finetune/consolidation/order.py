"""The folder of a job: what is to be made, what was made, how it was judged.

    order.json    what to make, with the entries' texts: for its owner alone, and gone once the weights are judged
    run/          the run's own folder (`out_folder.py`)
    judged.json   figures of the untouched and of the edited weights, without texts
    log.txt       what the process said

It is all that the process which trains is given, on this machine or on another one that sees the folder. It knows no
registry.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from finetune.consolidation.judged_pictures import JudgedPictures
from finetune.errors import InvalidData
from finetune.evaluation.report import write_result
from finetune.evaluation.run import JudgedFigures
from retrieval.entry import ForgetEntry, MemoryEdit

ORDER, RUN, JUDGED, LOG, ANSWERS = "order.json", "run", "judged.json", "log.txt", "answers"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OrderedEntry(_Value):
    """An entry as it was when the job was begun."""

    revision: int
    entry: ForgetEntry
    edits: tuple[MemoryEdit, ...] = ()


class Order(_Value):
    """What to make. `questions`: of a split, at most, for the judge; `attacks`: on the edited weights; `looking` and
    `drawing`: how pictures are looked at and drawn (`ServedModel`)."""

    modality: Literal["text", "image"]
    base: str
    method: str
    hyper_parameters: dict[str, Any] = {}
    plan: dict[str, Any] = {}
    edit_scale: float = 1.0
    retain: Path | None = None
    retain_generated: int = 64
    entries: tuple[OrderedEntry, ...]
    looking: dict[str, Any] = {}
    drawing: dict[str, Any] = {}
    questions: int = 40
    attacks: tuple[str, ...] = ("4-bit", "relearnt")
    seed: int = 0


class JudgedWeights(_Value):
    """The content of judged.json: figures by label (`none`, `edited`, attacked ones as `edited+ATTACK`), or of pictures."""

    models: dict[str, JudgedFigures] = {}
    pictures: JudgedPictures | None = None
    seconds: float


@dataclass(frozen=True, slots=True)
class JobFolder:
    """Paths, and reading and writing what lies there."""

    path: Path

    @property
    def run(self) -> Path:
        """The run's folder."""
        return self.path / RUN

    @property
    def log(self) -> Path:
        """What the process said."""
        return self.path / LOG

    @property
    def judged_file(self) -> Path:
        """Figures."""
        return self.path / JUDGED

    @property
    def answers(self) -> Path:
        """What models said to the judge, while he asks."""
        return self.path / ANSWERS

    def write_order(self, order: Order) -> None:
        """For the owner alone: it holds entries' texts. Raises `OSError`."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = self.path / f"{ORDER}.tmp"
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(order.model_dump_json().encode())
        partial.replace(self.path / ORDER)

    def read_order(self) -> Order:
        """Raises `InvalidData`, which names no text."""
        try:
            return Order.model_validate_json((self.path / ORDER).read_bytes())
        except (OSError, ValidationError) as error:
            raise InvalidData(f"{self.path} holds no order that can be read ({type(error).__name__}).") from None

    def write_judged(self, judged: JudgedWeights) -> None:
        """Whole or not at all."""
        write_result(self.judged_file, orjson.dumps(judged.model_dump(mode="json"), option=orjson.OPT_INDENT_2) + b"\n")

    def read_judged(self) -> JudgedWeights | None:
        """None where nothing was judged yet, or what is there cannot be read."""
        try:
            return JudgedWeights.model_validate_json(self.judged_file.read_bytes())
        except (OSError, ValidationError):
            return None

    def forget_texts(self) -> None:
        """Remove what holds entries' texts or answers about them; weights, manifest and figures stay."""
        for name in (ORDER, f"{ORDER}.tmp", LOG):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.answers, ignore_errors=True)

    def remove(self) -> None:
        """All of it."""
        shutil.rmtree(self.path, ignore_errors=True)


def read_line(line: str) -> Mapping[str, Any] | None:
    """A line that the process said about how far it is; None for any other."""
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) and "stage" in found else None
