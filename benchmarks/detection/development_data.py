"""Reads the development data: RWKU people, benign prompts, topics, TOFU, KnowUnDo, XSTest, wrapper templates.

A folder holds the public files, plain or packed (`.xz`); `benchmarks/data/README.md` names sources and licences. It
knows where a file lies and how its lines look, not what is asked with them.
"""

from __future__ import annotations

import csv
import io
import json
import lzma
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from guardrail.errors import InvalidInput

Line = dict[str, Any]


class DevelopmentData:
    """One folder of files. Every method raises `InvalidInput` where its file is missing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def lines(self, name: str) -> list[Line]:
        """A JSON Lines file; texts may hold other line separators than "\\n"."""
        return [json.loads(line) for line in self._text(name).split("\n") if line.strip()]

    def array(self, name: str) -> list[Line]:
        """A JSON file that holds a list."""
        return list(json.loads(self._text(name)))

    def table(self, name: str) -> list[dict[str, str]]:
        """A CSV file with a header."""
        return list(csv.DictReader(io.StringIO(self._text(name))))

    def entries(self, name: str) -> list[Line]:
        """`NAME/entries.jsonl`."""
        return self.lines(f"{name}/entries.jsonl")

    def probes(self, name: str) -> list[Line]:
        """`NAME/probes.jsonl`."""
        return self.lines(f"{name}/probes.jsonl")

    def _text(self, name: str) -> str:
        plain, packed = self._folder / name, self._folder / f"{name}.xz"
        try:
            raw = plain.read_bytes() if plain.exists() else lzma.decompress(packed.read_bytes())
        except FileNotFoundError:
            raise InvalidInput(f"{plain} is missing; name the folder of the development data by --data.") from None
        return raw.decode("utf-8")


def pack(source: Path, target: Path, names: Sequence[str]) -> None:
    """Copy files into `target` as `.xz`."""
    for name in names:
        packed = target / f"{name}.xz"
        packed.parent.mkdir(parents=True, exist_ok=True)
        packed.write_bytes(lzma.compress((source / name).read_bytes(), preset=9))
