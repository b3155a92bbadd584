"""The bench as its user sees it: options in, bars while it runs, a result file and a table at the end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from benchmarks import report
from benchmarks.processes import ServerFailed
from benchmarks.stages import told_stages
from benchmarks.unlearning.bench import UnlearningPlan, measure
from benchmarks.unlearning.plot import plot
from benchmarks.unlearning.rows import check_treatments, lacking
from benchmarks.unlearning.table import table
from finetune.cli.exits import STOPPED, Stopped
from finetune.errors import FinetuneError

_QUICK_TREATMENTS: Final = ("ignorance", "stand_in")
_QUICK_LIMIT: Final = 4


def carry_out(*, out: Path, picture: Path | None, quick: bool, treatments: tuple[str, ...], work: Path) -> str:
    """Measure, write, draw; gives the table. Ends the program with 1 where it fails, 2 for bad input, 130 where
    it is stopped."""
    _check(treatments)
    if quick:
        plan = UnlearningPlan(
            work=(work / "quick").resolve(), treatments=treatments or _QUICK_TREATMENTS, limit=_QUICK_LIMIT
        )
    else:
        plan = UnlearningPlan(work=work.resolve(), treatments=treatments)
    with told_stages() as tell:
        try:
            result = measure(plan, tell)
        except (FinetuneError, ServerFailed) as error:
            click.echo(f"The measurement failed: {error}", err=True)
            sys.exit(1)
        except KeyboardInterrupt:
            raise Stopped(STOPPED) from None
    report.write(result, out)
    if picture:
        plot(result, picture)
    return f"{table(result)}\n\nDetails in {out}."


def _check(treatments: tuple[str, ...]) -> None:
    try:
        check_treatments(treatments)
    except FinetuneError as error:
        raise click.UsageError(str(error)) from None
    for name in treatments:
        if lacks := lacking(name):
            raise click.UsageError(
                f"transformers_local cannot carry out '{name}': it lacks {', '.join(sorted(lacks))}."
            )
