"""Trains the shapes model: `python -m benchmarks.shapes.train --out guardrail/demo/shapes_model`.

VAE, text encoder, UNet, the judge that measures it and the encoder of the gate's inspector, in that order. A run that is
stopped goes on from its last checkpoint and ends with the same weights. See the README beside this file.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.shapes.recipe import FULL, PARTS, TINY, Part, Recipe
from benchmarks.shapes.steps import OnStep
from benchmarks.shapes.workshop import OnPart, Workshop
from guardrail.errors import InvalidInput

WORK: Final = Path(".expunge/shapes-training")
_LINES: Final = 10
_STEPS = click.IntRange(min=1)


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the model.")
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    default=WORK,
    show_default=True,
    help="Pictures and checkpoints; may be removed when all parts are done.",
)
@click.option("--part", "parts", type=click.Choice(PARTS), multiple=True, help="Only this part; repeatable.")
@click.option("--tiny", is_flag=True, help="A model of no use in some seconds, to try commands.")
@click.option("--seed", type=int, help="Another seed than 0.")
@click.option("--threads", type=_STEPS, default=1, show_default=True, help="Cores; weights depend on it a little.")
@click.option("--vae-steps", type=_STEPS, help=f"The autoencoder; {FULL.vae_steps} unless told.")
@click.option("--text-steps", type=_STEPS, help=f"The text encoder's pre-training; {FULL.text_steps} unless told.")
@click.option("--unet-steps", type=_STEPS, help=f"Most of the time; {FULL.unet_steps} unless told.")
@click.option("--judge-steps", type=_STEPS, help=f"Who measures the model; {FULL.judge_steps} unless told.")
@click.option("--encoder-steps", type=_STEPS, help=f"The inspector's eye; {FULL.encoder_steps} unless told.")
def main(*, out: Path, work: Path, parts: tuple[Part, ...], tiny: bool, threads: int, **changed: int | None) -> None:
    """Train the whole model or some parts of it; goes on where an earlier run stopped.

    Learning rates fall over all steps of a part: one that is to go on needs the same numbers, and other numbers begin anew
    in another --work folder.
    """
    torch.set_num_threads(threads)
    recipe = _recipe(TINY if tiny else FULL, changed)
    with _bars() as on_part:
        workshop = Workshop(recipe, out=out, work=work, on_part=on_part)
        for part in PARTS:
            if part in parts or not parts:
                try:
                    workshop.make(part)
                except InvalidInput as error:
                    click.echo(str(error), err=True)
                    sys.exit(2)
    size_mb = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6 if out.is_dir() else 0.0
    click.echo(f"{out}: {size_mb:.1f} MB")


def _recipe(base: Recipe, changed: dict[str, int | None]) -> Recipe:
    given = {name: value for name, value in changed.items() if value is not None}
    return dataclasses.replace(base, **given)  # type: ignore[arg-type] # click's names are the recipe's


@contextmanager
def _bars() -> Iterator[OnPart]:
    """A bar a part on a terminal, else some ten lines."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[at]}"),
        TimeRemainingColumn(),
    )
    is_terminal = sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), disable=not is_terminal) as progress:

        def on_part(part: Part) -> OnStep:
            task = progress.add_task(part, total=None, at="")
            smooth: list[float] = []

            def on_step(done: int, steps: int, loss: float) -> None:
                smooth[:] = [loss if not smooth else 0.95 * smooth[0] + 0.05 * loss]
                progress.update(task, completed=done, total=steps, at=f"loss {smooth[0]:.4g}")
                if not is_terminal and (done == 1 or done * _LINES // steps > (done - 1) * _LINES // steps):
                    click.echo(f"{part} step {done}/{steps}, loss {smooth[0]:.4g}", err=True)

            return on_step

        yield on_part


if __name__ == "__main__":
    main()
