"""The bench as its user sees it: what the options come to, carried out by `benchmarks.stages`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import click

from benchmarks import stages
from benchmarks.unlearning.bench import UnlearningPlan, measure
from benchmarks.unlearning.choices import On
from benchmarks.unlearning.plot import plot
from benchmarks.unlearning.rows import check_treatments, lacking, why_not
from benchmarks.unlearning.table import BRIEF, COLUMNS, table
from finetune.errors import FinetuneError

_QUICK_TREATMENTS: Final = ("ignorance", "stand_in")
_QUICK_LIMIT: Final = 4
_ASSISTANT: Final = Path("assistant", "model")
"""Where `expunge consolidate assistant --out WORK/assistant` leaves it."""


def carry_out(
    *,
    out: Path,
    picture: Path | None,
    quick: bool,
    treatments: tuple[str, ...],
    work: Path,
    on: On = "authors",
    limit: int | None = None,
    brief: bool = False,
    lanes: int = 1,
) -> str:
    """Measure, write, draw; gives the table. Ends the program with 1 where it fails, 2 for bad input, 130 where
    it is stopped. Each choice of `on` has a folder of its own below `work`, but for the first."""
    plan = plan_of(quick=quick, treatments=treatments, work=work, on=on, limit=limit)
    plan = replace(plan, lanes=lanes)
    _check(treatments, has_assistant=plan.assistant is not None)
    shown = partial(table, columns=BRIEF if brief else COLUMNS)
    return stages.carry_out(partial(measure, plan), out=out, picture=picture, plot=plot, table=shown)


def plan_of(*, quick: bool, treatments: tuple[str, ...], work: Path, on: On, limit: int | None) -> UnlearningPlan:
    """`limit` questions of each kind; without one a quick run takes few, a whole one all."""
    work = (work if on == "authors" else work / on).resolve()
    assistant = work / _ASSISTANT
    if quick and on == "authors":
        treatments = treatments or _QUICK_TREATMENTS
    limit = limit or (_QUICK_LIMIT if quick else None)
    return UnlearningPlan(
        # Answers to a part of the questions are no answers to all.
        work=work if limit is None else work / "quick",
        on=on,
        treatments=treatments,
        limit=limit,
        assistant=assistant if (assistant / "config.json").exists() else None,
    )


def _check(treatments: tuple[str, ...], *, has_assistant: bool) -> None:
    try:
        check_treatments(treatments)
    except FinetuneError as error:
        raise click.UsageError(str(error)) from None
    for name in treatments:
        if lacks := lacking(name, has_assistant=has_assistant):
            raise click.UsageError(f"'{name}' cannot be carried out: {why_not(lacks)}.")
