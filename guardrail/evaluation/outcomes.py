"""What became of each probe, and the file that keeps it while an evaluation runs, so that it can be resumed.

An outcome holds ids, scores and times, never a text. It knows neither detectors nor figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """One probe, judged.

    `caught`: the request would have been treated or refused. `entries`: ids acted on, nearest first. `score`: that of
    the nearest entry, suspects too; 0 where none was near. `is_right`: an expected entry is among `entries`;
    `is_best`: none of the others scores higher. `told`: an inspector would have stopped the answer; None without one.
    `ms`: detecting and deciding.
    """

    number: int
    id: str
    group: str
    is_expected: bool
    caught: bool
    score: float
    entries: tuple[str, ...] = ()
    is_right: bool = False
    is_best: bool = False
    told: bool | None = None
    told_entries: tuple[str, ...] = ()
    ms: float

    @property
    def held(self) -> bool:
        """The guard acted, on the request or on the answer."""
        return self.caught or bool(self.told)


def read_outcomes(path: Path) -> list[Outcome]:
    """The whole lines of a file; one that was broken off is left out. An absent file holds none."""
    if not path.exists():
        return []
    found = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        fields = orjson.loads(line)
        fields["entries"] = tuple(fields["entries"])
        fields["told_entries"] = tuple(fields["told_entries"])
        found.append(Outcome(**fields))
    return found


class OutcomeFile:
    """Appends outcomes; each line is written through, so that an interruption loses none."""

    def __init__(self, path: Path) -> None:
        whole = path.read_bytes().rpartition(b"\n") if path.exists() else (b"", b"", b"")
        path.write_bytes(whole[0] + whole[1])
        self._file = path.open("ab")

    def add(self, outcome: Outcome) -> None:
        """Write one line."""
        self._file.write(orjson.dumps(outcome) + b"\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
