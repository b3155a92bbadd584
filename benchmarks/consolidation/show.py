"""The bench as its user sees it: what the options come to, carried out by `benchmarks.stages`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import click

from benchmarks import stages
from benchmarks.consolidation.bench import ConsolidationPlan, measure
from benchmarks.consolidation.plot import plot
from benchmarks.consolidation.table import table
from benchmarks.consolidation.trials import MOST_TRIALS, TRIALS
from finetune.errors import unknown_name

_QUICK: Final = ConsolidationPlan(
    work=Path("quick"), methods=("npo",), trials=1, seeds=1, max_steps=2, limit=2, adversarial=4
)


def carry_out(
    *,
    out: Path,
    picture: Path | None,
    quick: bool,
    methods: tuple[str, ...],
    trials: int | None,
    seeds: int,
    work: Path,
) -> str:
    """Measure, write, draw; gives the table. Ends the program with 1 where it fails, 2 for bad input, 130 where
    it is stopped."""
    for name in methods:
        if name not in TRIALS:
            raise click.UsageError(str(unknown_name("method", name, TRIALS)))
    if quick:
        chosen = replace(_QUICK, work=work / "quick", methods=methods or _QUICK.methods, trials=trials or _QUICK.trials)
    else:
        chosen = ConsolidationPlan(work=work, methods=methods, trials=trials or MOST_TRIALS, seeds=seeds)
    return stages.carry_out(partial(measure, chosen), out=out, picture=picture, plot=plot, table=table)
