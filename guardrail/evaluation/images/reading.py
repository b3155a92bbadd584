"""Reads what a picture evaluation asks, of either kind.

A suite is a folder with `entries.jsonl` and `prompts.jsonl` (`suite_lines`), or a file or folder in one of the public
formats (`csv_formats`), for which the entries come from a file of their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from guardrail.errors import InvalidInput
from guardrail.evaluation.images.csv_formats import read_public
from guardrail.evaluation.images.suite_lines import read_entries, read_prompts
from guardrail.evaluation.images.suites import Split, Suite

ENTRIES_FILE: Final = "entries.jsonl"
PROMPTS_FILE: Final = "prompts.jsonl"


def read_suite(place: Path, *, entries: Path | None = None, split: Split | None = None) -> Suite:
    """A suite of either kind. `split` stands in for what a public format says. Raises `InvalidInput`."""
    own = place / PROMPTS_FILE
    if own.is_file():
        if split is not None:
            raise InvalidInput("--split is for public formats; the prompts of this suite name their splits themselves.")
        found = read_entries(entries or place / ENTRIES_FILE)
        return Suite(name=place.resolve().name, entries=found, prompts=read_prompts(own, found))
    if entries is None:
        raise InvalidInput(
            f"{place} holds no {PROMPTS_FILE}. A suite in a public format needs its entries by --entries FILE "
            "(one JSON object a line)."
        )
    found = read_entries(entries)
    prompts, notes = read_public(place, found, split)
    return Suite(name=place.resolve().stem, entries=found, prompts=prompts, notes=notes)
