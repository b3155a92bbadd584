"""Bars for a long measurement, a stage each; where stderr is no terminal, a line at each stage's beginning."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


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
