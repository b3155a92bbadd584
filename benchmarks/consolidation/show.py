"""The bench as its user sees it: options in, bars while it runs, a result file and a table at the end."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from benchmarks import report
from benchmarks.consolidation.bench import ConsolidationPlan, measure
from benchmarks.consolidation.plot import plot
from benchmarks.consolidation.table import table
from benchmarks.consolidation.trials import MOST_TRIALS, TRIALS
from benchmarks.stages import told_stages
from finetune.cli.exits import STOPPED, Stopped
from finetune.errors import FinetuneError, unknown_name

_QUICK: Final = ConsolidationPlan(
    work=Path("quick"), methods=("npo",), trials=1, seeds=1, max_steps=2, limit=2, adversarial=4
)


def carry_out(
    *, out: Path, picture: Path | None, quick: bool, methods: tuple[str, ...], trials: int | None, work: Path
) -> str:
    """Measure, write, draw; gives the table. Ends the program with 1 where it fails, 2 for bad input, 130 where
    it is stopped."""
    for name in methods:
        if name not in TRIALS:
            raise click.UsageError(str(unknown_name("method", name, TRIALS)))
    if quick:
        chosen = replace(_QUICK, work=work / "quick", methods=methods or _QUICK.methods, trials=trials or _QUICK.trials)
    else:
        chosen = ConsolidationPlan(work=work, methods=methods, trials=trials or MOST_TRIALS)
    with told_stages() as tell:
        try:
            result = measure(chosen, tell)
        except FinetuneError as error:
            click.echo(f"The measurement failed: {error}", err=True)
            sys.exit(1)
        except KeyboardInterrupt:
            raise Stopped(STOPPED) from None
    report.write(result, out)
    if picture:
        plot(result, picture)
    return f"{table(result)}\n\nDetails in {out}."
