"""Sending an entry file in batches, with a progress bar on a terminal and a report of what each line became.

A run that breaks off can be repeated: lines that are there already are left unchanged. Knows neither HTTP nor stores.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from guardrail.commands.admin_client import AdminClient
from guardrail.commands.entry_file import EntryLine, check_file, read_entries
from guardrail.commands.options import BadInput, CommandFailed

BATCH_LINES: Final = 100
BATCH_BYTES: Final = 4 * 1024 * 1024
_URL: Final = "/v1/forget/entries:import"


@dataclass(kw_only=True, slots=True)
class ImportResult:
    """What became of a file; `problems` hold line numbers of the file."""

    created: int = 0
    unchanged: int = 0
    failed: int = 0
    problems: list[dict[str, Any]] = field(default_factory=list)

    def add(self, report: dict[str, Any], batch: list[EntryLine]) -> None:
        """Take over the report of one batch, whose lines are numbered from 1."""
        self.created += report["created"]
        self.unchanged += report["unchanged"]
        self.failed += report["failed"]
        for line in report["lines"]:
            if line["status"] == "error":
                self.problems.append({"line": batch[line["line"] - 1].number, "error": line["error"]["message"]})

    def shown(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "created": self.created,
            "unchanged": self.unchanged,
            "failed": self.failed,
            "problems": self.problems,
        }


def _batches(path: Path) -> Iterator[list[EntryLine]]:
    batch: list[EntryLine] = []
    size_bytes = 0
    for line in read_entries(path):
        if not isinstance(line, EntryLine):
            raise BadInput(f"{path} changed while it was being sent: {line}")
        if batch and (len(batch) >= BATCH_LINES or size_bytes + len(line.raw) > BATCH_BYTES):
            yield batch
            batch, size_bytes = [], 0
        batch.append(line)
        size_bytes += len(line.raw)
    if batch:
        yield batch


def _body(batch: list[EntryLine]) -> bytes:
    return b"\n".join(line.raw for line in batch)


def import_file(client: AdminClient, path: Path, *, atomic: bool) -> ImportResult:
    """Check the whole file, then register it: at once (`atomic`), or batch by batch."""
    total = check_file(path)
    result = ImportResult()
    if total == 0:
        return result
    if atomic:
        lines = [line for batch in _batches(path) for line in batch]
        result.add(client.send("POST", _URL, query={"atomic": "true"}, body=_body(lines)), lines)
        return result
    done = 0
    with _progress() as progress:
        task = progress.add_task("Registering", total=total)
        for batch in _batches(path):
            try:
                report = client.send("POST", _URL, query={"atomic": "false"}, body=_body(batch))
            except CommandFailed as error:
                message = f"{error.format_message()} {done} of {total} entries were registered; run it again to go on."
                raise CommandFailed(message) from None
            result.add(report, batch)
            done += len(batch)
            progress.update(task, completed=done)
    return result


def _progress() -> Progress:
    """A bar on stderr; nothing where that is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not sys.stderr.isatty())
