"""The bench's options: a click command, so light that listing the commands loads nothing.

    python -m benchmarks.unlearning.command --on other-authors --out RESULT.json

What they lead to stands in `show.py`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import click

from benchmarks.unlearning.choices import On


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Result file (JSON).")
@click.option("--plot", "picture", type=click.Path(dir_okay=False, path_type=Path), help="Also draw it (PNG).")
@click.option("--quick", is_flag=True, help="Two treatments, a few questions; the result file says so.")
@click.option(
    "--on",
    type=click.Choice(get_args(On)),
    default="authors",
    show_default=True,
    help="About whom: TOFU's forgotten authors, four others that nothing was tuned on, or RWKU's people whom the "
    "untrained model knows.",
)
@click.option(
    "--treatment",
    "treatments",
    multiple=True,
    help="Only this one, or several as a+b; repeatable. Default: all. Not on authors: beside ignorance and auto.",
)
@click.option("--limit", type=click.IntRange(1), help="Questions of each kind, at most; the result file says so.")
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".cache/unlearning"),
    show_default=True,
    help="Folder in which answers are kept. `offset` takes its assistant from 'assistant/model' there: see `expunge "
    "consolidate assistant --out`.",
)
@click.option(
    "--lanes",
    type=click.IntRange(1),
    default=lambda: min(2, os.cpu_count() or 1),
    show_default="2, or 1 on a single core",
    help="Rows asked side by side, each of a proxy of its own (1.3 GB each).",
)
@click.option("--brief", is_flag=True, help="Print thirteen figures a row instead of all.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON instead of a table.")
def unlearning(
    *,
    out: Path,
    picture: Path | None,
    quick: bool,
    on: On,
    treatments: tuple[str, ...],
    limit: int | None,
    work: Path,
    lanes: int,
    brief: bool,
    as_json: bool,
) -> None:
    """Every treatment for language through the running proxy, on a model that knows: forgetting, locality, attacks, cost.

    Takes more than an hour on two idle cores; a run that was stopped goes on with the same command, row by row.
    """
    from benchmarks.unlearning.show import carry_out

    result = carry_out(
        out=out,
        picture=picture,
        quick=quick,
        treatments=treatments,
        work=work,
        on=on,
        limit=limit,
        brief=brief,
        lanes=lanes,
    )
    click.echo(out.read_text(encoding="utf-8")) if as_json else click.echo(result)


if __name__ == "__main__":
    unlearning()
