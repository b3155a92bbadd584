"""Results of some methods each, put together to one of all.

    python -m benchmarks.consolidation.joined A.json B.json --out C.json --plot C.png

The bench takes hours, so that methods may be measured on different days. Results belong together where the untouched model
and the one that never knew have the same figures in both, on as many questions; else model or questions were others.
Costs are those of the last result that measured them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any, Final

import click

from benchmarks import report
from benchmarks.consolidation.plot import plot
from benchmarks.consolidation.table import table
from finetune.evaluation.run import RETAIN, UNTOUCHED

_SAME: Final = ("model", "seconds_a_trial_at_most", "questions", "quick")
_ROUNDING: Final = 2e-4
_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


def joined(results: Sequence[report.BenchResult]) -> report.BenchResult:
    """One result; a method in several is the last one's. Raises `ValueError` where they do not belong together."""
    return reduce(_both, results)


def _both(first: report.BenchResult, second: report.BenchResult) -> report.BenchResult:
    for name in _SAME:
        if first.config.get(name) != second.config.get(name):
            raise ValueError(f"The results differ in '{name}'; only results of the same bench belong together.")
    for name, value in first.figures.items():
        beside = name.startswith((f"{UNTOUCHED}_", f"{RETAIN}_", f"{UNTOUCHED}+", f"{RETAIN}+"))
        if beside and abs(second.figures.get(name, value) - value) > _ROUNDING:
            raise ValueError(
                f"'{name}' is {value} in one result and {second.figures[name]} in another; measure both anew."
            )
    samples = {**first.samples, **second.samples}
    return report.BenchResult(
        config=_config(first, second),
        versions=second.versions,
        hardware=second.hardware,
        figures={**first.figures, **second.figures},
        samples={name: _merged(first.samples.get(name), second.samples.get(name)) for name in samples},
    )


def _config(first: report.BenchResult, second: report.BenchResult) -> dict[str, Any]:
    parts = [*first.config.get("parts", [_part(first)]), _part(second)]
    methods = dict.fromkeys([*first.config["methods"], *second.config["methods"]])
    return {**second.config, "best_method": first.config["best_method"], "methods": list(methods), "parts": parts}


def _part(one: report.BenchResult) -> dict[str, Any]:
    said = ("methods", "best_method", "trials_at_most", "measured_at")
    return {**{name: one.config.get(name) for name in said}, "versions": one.versions, "hardware": one.hardware}


def _merged(first: Any, second: Any) -> Any:
    return {**first, **second} if isinstance(first, dict) and isinstance(second, dict) else second or first


@click.command()
@click.argument("results", nargs=-1, required=True, type=_FILE)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Result file (JSON).")
@click.option("--plot", "picture", type=click.Path(dir_okay=False, path_type=Path), help="Also draw it (PNG).")
def main(*, results: tuple[Path, ...], out: Path, picture: Path | None) -> None:
    """Put results of some methods each together to one."""
    try:
        whole = joined([report.read(one) for one in results])
    except ValueError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    report.write(whole, out)
    if picture is not None:
        plot(whole, picture)
    click.echo(table(whole))


if __name__ == "__main__":
    main()
