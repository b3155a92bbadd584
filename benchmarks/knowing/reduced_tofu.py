"""A reduced TOFU (Maini et al. 2024, arXiv:2401.06121) for two cores: its last 40 authors, the last 4 to be forgotten.

    forget10.json, forget10_perturbed.json    4 authors by 20 questions, with paraphrases and wrong answers
    retain90.json                             the other 36 authors
    retain_perturbed.json                     the last 16 of them, with paraphrases and wrong answers
    real_authors_perturbed.json, world_facts_perturbed.json   whole

The files have TOFU's own names and format, so that every reader of TOFU reads them. It knows no model.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, Literal

from benchmarks.detection.development_data import DevelopmentData, Line
from finetune.data.training_text import TrainingText
from finetune.data.whole_files import write_whole
from finetune.evaluation.suites import Suite
from finetune.evaluation.suites.tofu import PER_AUTHOR, Tofu

Which = Literal["target", "retain"]

DATA: Final = Path(__file__).parents[1] / "data" / "tofu"
AUTHORS: Final = 40
FORGOTTEN: Final = 4
_UNCHANGED: Final = ("real_authors_perturbed.json", "world_facts_perturbed.json")


def write_reduced_tofu(folder: Path, *, data: Path = DATA) -> Path:
    """Write the files into `folder` and give it back. `data` holds TOFU's, plain or packed.

    Raises `guardrail.errors.InvalidInput` where one is missing.
    """
    tofu = DevelopmentData(data)
    perturbed = tofu.lines("forget10_perturbed.json")
    authors = [*tofu.lines("retain90.json"), *tofu.lines("forget10.json")][-AUTHORS * PER_AUTHOR :]
    forgotten = FORGOTTEN * PER_AUTHOR
    files = {
        "forget10.json": authors[-forgotten:],
        "forget10_perturbed.json": perturbed[-forgotten:],
        "retain90.json": authors[:-forgotten],
        "retain_perturbed.json": perturbed[:-forgotten],
        **{name: tofu.lines(name) for name in _UNCHANGED},
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in files.items():
        write_whole(folder / name, _lines(lines))
    return folder


def reduced_tofu(folder: Path) -> Suite:
    """The suite of such a folder. Raises `InvalidData`."""
    return Tofu().read(folder)


def learnt(suite: Suite, which: Which) -> tuple[TrainingText, ...]:
    """What a model learns: everything, or all but what is to be forgotten."""
    return (*suite.retain_texts, *suite.forget_texts) if which == "target" else suite.retain_texts


def _lines(lines: list[Line]) -> bytes:
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
