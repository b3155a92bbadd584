"""A long measurement as its user sees it: carried out under bars, a stage each, written, drawn and shown as a table.

Where stderr is no terminal, a line is told at each stage's beginning. It does not know what is measured.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks import report
from benchmarks.processes import ServerFailed
from finetune.cli.exits import STOPPED, Stopped
from finetune.errors import FinetuneError


class Tell(Protocol):
    """Told of every step of a stage."""

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None: ...


@contextmanager
def told_stages() -> Iterator[Tell]:
    """The bars, while the measurement runs."""
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
    with bars:
        tasks: dict[str, TaskID] = {}

        def tell(stage: str, done: int = 0, total: int = 0) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total or None)
                if not bars.console.is_terminal:
                    click.echo(stage, err=True)
            bars.update(tasks[stage], completed=done, total=total or None)

        yield tell


def carry_out(
    measure: Callable[[Tell], report.BenchResult],
    *,
    out: Path,
    picture: Path | None,
    plot: Callable[[report.BenchResult, Path], None],
    table: Callable[[report.BenchResult], str],
) -> str:
    """Measure, write to `out`, draw if there is to be a `picture`; gives the table. Ends the program with 1 where the
    measurement fails, 130 where it is stopped."""
    with told_stages() as tell:
        try:
            result = measure(tell)
        except (FinetuneError, ServerFailed) as error:
            click.echo(f"The measurement failed: {error}", err=True)
            sys.exit(1)
        except KeyboardInterrupt:
            raise Stopped(STOPPED) from None
    report.write(result, out)
    if picture:
        plot(result, picture)
    return f"{table(result)}\n\nDetails in {out}."
