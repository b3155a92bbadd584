"""The public files behind what is not TOFU's own split: its other authors, and RWKU's people.

`write_other_authors` writes a TOFU folder in which authors that `target_model` learnt, and that were development data of
nothing, stand where the forgotten ones do. They are drawn under a seed from those that fulfil all of this: learnt, but none
of TOFU's forgotten four (which are left out); with paraphrases (TOFU has none of its other kept authors'); held out of what
the shipped judge learnt (`benchmarks.judge.sources`). Exactly four do, so the draw takes them all.

`write_people` unpacks RWKU's. It knows files, not what is asked or who answers.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.detection.development_data import DevelopmentData
from benchmarks.judge.sources import FOLDS
from benchmarks.knowing.reduced_tofu import AUTHORS, DATA, FORGOTTEN
from finetune.data.whole_files import write_whole
from finetune.evaluation.suites.tofu import PER_AUTHOR

SEED: Final = 0
_UNCHANGED: Final = ("real_authors_perturbed.json", "world_facts_perturbed.json")
_PEOPLE: Final = "rwku_dev"


def write_other_authors(folder: Path, *, data: Path = DATA) -> Path:
    """Write TOFU's files into `folder` and give it back. Raises `guardrail.errors.InvalidInput` where one is missing."""
    tofu = DevelopmentData(data)
    whole, perturbed = tofu.lines("forget10.json"), tofu.lines("forget10_perturbed.json")
    authors = _by_author([*tofu.lines("retain90.json"), *whole])
    first = len(authors) - len(whole) // PER_AUTHOR  # of those with paraphrases
    paraphrased = dict(enumerate(_by_author(perturbed), start=first))
    learnt = range(len(authors) - AUTHORS, len(authors) - FORGOTTEN)
    drawn = drawn_authors([number for number in learnt if number in paraphrased])
    kept = [number for number in learnt if number not in drawn]
    files = {
        "forget10.json": _lines_of(authors[number] for number in drawn),
        "forget10_perturbed.json": _lines_of(paraphrased[number] for number in drawn),
        "retain90.json": _lines_of(authors[number] for number in kept),
        "retain_perturbed.json": _lines_of(paraphrased[number] for number in kept if number in paraphrased),
        **{name: tofu.lines(name) for name in _UNCHANGED},
    }
    return _write(folder, files)


def drawn_authors(numbers: Iterable[int]) -> list[int]:
    """As many as TOFU's split has here, of those that the judge did not learn."""
    held_out = [number for number in numbers if number % FOLDS == 0]
    return sorted(random.Random(SEED).sample(held_out, FORGOTTEN))


def write_people(folder: Path, *, data: Path = DATA.parent) -> Path:
    """Write RWKU's people and probes into `folder` and give it back. Raises `guardrail.errors.InvalidInput`."""
    packed = DevelopmentData(data)
    return _write(folder, {"entries.jsonl": packed.entries(_PEOPLE), "probes.jsonl": packed.probes(_PEOPLE)})


def _by_author(lines: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    return [lines[start : start + PER_AUTHOR] for start in range(0, len(lines), PER_AUTHOR)]


def _lines_of(authors: Iterable[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [line for lines in authors for line in lines]


def _write(folder: Path, files: Mapping[str, list[dict[str, Any]]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in files.items():
        write_whole(folder / name, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode())
    return folder
