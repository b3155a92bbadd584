"""What was answered, and its place in the work folder: by row and split, under a hash of all that decides the answers.

The product's code is part of that hash, so that any change of it asks again. Which splits a row is asked, and how many of
their questions at a time, stands here too. It asks nothing and judges nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.knowing.models import adapter_of
from benchmarks.targets import ROOT
from benchmarks.unlearning.material import Material
from benchmarks.unlearning.rows import Row
from benchmarks.unlearning.served import AT_ONCE, configuration
from benchmarks.unlearning.traces import Author
from finetune.data.whole_files import content_sha256, file_sha256, write_whole
from finetune.evaluation.subjects import folder_sha256

CLOSE: Final[tuple[tuple[tuple[str, ...], int], ...]] = (
    (("forget", "invented"), 1),
    (("neighbor",), 1),
    (("utility",), 1),
    (("paraphrase",), AT_ONCE),
    (("adversarial",), AT_ONCE),
    (("knowing",), AT_ONCE),
    (("mixed",), AT_ONCE),
)
"""Splits and how many of their questions are asked at a time. Those that stand together take turns, so that a machine that
slows down slows both; one at a time, answers are the same to the last byte and the times are their own."""

PLAIN: Final[tuple[tuple[tuple[str, ...], int], ...]] = tuple(
    ((split,), AT_ONCE) for split in ("forget", "neighbor", "utility", "paraphrase", "adversarial", "knowing", "mixed")
)
"""The same of rows that are not looked at closely."""

_NO_LADDER: Final = "benchmarks/unlearning/first_answers.py"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What a caller sees. `text` None: the request was refused by `status` and there is no answer.

    `body`: a hash of the answer's bytes but for its id and time. `alone`: nothing else was under way. From the proxy's
    records: whether it was `treated`, `leaks` that were caught, whether an answer leaked and was `begun_anew` (by the
    model, or as words that need none), and who wrote what left (`author`, None if untreated).
    """

    text: str | None
    status: int
    finish: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    body: str = ""
    request: str = ""
    alone: bool = False
    treated: bool = False
    leaks: int = 0
    begun_anew: bool = False
    author: Author | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Replies:
    """One row's replies to one split, by question id."""

    by_id: Mapping[str, Reply]


class KeptReplies:
    """Below `work`; files of other questions, models or code are not looked at. `assistant`: the folder of the model that
    rows may need."""

    def __init__(self, work: Path, given: Material, *, assistant: Path | None = None) -> None:
        asked = {name: [asdict(one) for one in split.asked] for name, split in given.splits.items()}
        weights = [folder_sha256(adapter_of(which)) for which in ("target", "retain")]
        code = [
            file_sha256(path) for name in ("guardrail", "retrieval") for path in sorted((ROOT / name).rglob("*.py"))
        ]
        code.append(file_sha256(ROOT / _NO_LADDER))
        served = configuration(Path(), 0, 0, adapter=None)
        settings = {name: served[name] for name in ("backends", "policy")} | {
            "embedder": served["retrieval"]["embedder"]
        }
        decided = [asked, list(given.entries), weights, given.max_new_tokens, content_sha256(code), settings]
        self.folder = work / "replies" / content_sha256(decided)[:16]
        self._given = given
        self._assistant = folder_sha256(assistant)[:8] if assistant else ""

    def find(self, row: Row, split: str) -> Replies | None:
        """What was kept, or None."""
        path = self._path(row, split)
        if not path.exists():
            return None
        found = json.loads(path.read_bytes())
        return Replies(by_id={key: Reply(**one) for key, one in found["replies"].items()})

    def keep(self, row: Row, split: str, replies: Replies) -> None:
        """Keep a whole split."""
        path = self._path(row, split)
        path.parent.mkdir(parents=True, exist_ok=True)
        told = {"replies": {key: asdict(one) for key, one in replies.by_id.items()}}
        write_whole(path, json.dumps(told, ensure_ascii=False, indent=1).encode())

    def lacks(self, row: Row) -> bool:
        """Whether something of the row is still to be asked."""
        return any(not self._path(row, split).exists() for split in self._splits(row))

    def all_of(self, row: Row, *, more: Sequence[str] = ()) -> dict[str, Replies]:
        """What was kept, by split; `more`: further splits, if they are there."""
        found = {split: self.find(row, split) for split in (*self._splits(row), *more)}
        return {split: replies for split, replies in found.items() if replies is not None}

    def _splits(self, row: Row) -> tuple[str, ...]:
        return tuple(split for splits, _ in asked_of(self._given, row) for split in splits)

    def _path(self, row: Row, split: str) -> Path:
        by = f"-{self._assistant}" if row.needs_assistant else ""
        return self.folder / f"{row.label}{by}" / f"{split}.json"


def asked_of(given: Material, row: Row) -> tuple[tuple[tuple[str, ...], int], ...]:
    """What a row is asked, as far as there is something to ask."""
    asked = CLOSE if row.is_close else PLAIN
    there = [(tuple(split for split in splits if split in given.splits), at_once) for splits, at_once in asked]
    return tuple((splits, at_once) for splits, at_once in there if splits)
