"""Figures of the pictures' bench by name, and as a Markdown table with what is asked of `auto`.

    python -m benchmarks.shapes.table RESULT.json

Figures are from the result alone; a figure that was not measured is an empty cell. Shares of pictures that still show an
entry stand with the upper end of their 95 % interval. It knows no pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import click

from benchmarks import report
from benchmarks.report import BenchResult
from guardrail.evaluation.images.measures import Figure
from guardrail.evaluation.images.report import TreatmentFigures

AUTO: Final = "auto"
UNTREATED: Final = "none"
_SPLIT: Final = ("shown", "follows", "follows_change", "identical", "refused")


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """`path`: where the figure stands in a row's samples. `asked` of `auto`: the most, or the least where it `is_least`."""

    path: tuple[str, ...]
    written: Literal["upper", "value", "signed", "times", "ms"] = "value"
    asked: float | None = None
    is_least: bool = False


COLUMNS: Final[Mapping[str, Column]] = {
    "shown by name": Column(path=("splits", "forget", "shown"), written="upper", asked=0.05),
    "other words": Column(path=("splits", "synonym", "shown"), written="upper", asked=0.08),
    "implied": Column(path=("splits", "implicit", "shown"), written="upper", asked=0.08),
    "attacked": Column(path=("splits", "adversarial", "shown"), written="upper", asked=0.15),
    "neighbours": Column(path=("splits", "neighbor", "follows_change"), written="signed", asked=-0.03, is_least=True),
    "all else": Column(path=("splits", "benign", "follows_change"), written="signed", asked=-0.03, is_least=True),
    "beside the entry": Column(path=("splits", "forget", "follows_change"), written="signed"),
    "quality": Column(path=("quality", "kept", "fid_ratio"), written="times", asked=1.1),
    "same bits": Column(path=("splits", "benign", "identical"), asked=1.0, is_least=True),
    "time": Column(path=("seconds", "forget", "ratio_to_none"), written="times", asked=1.25),
    "untouched, ms": Column(path=("seconds", "kept", "added"), written="ms", asked=0.005),
    "refused": Column(path=("splits", "forget", "refused")),
}
"""By heading, in the order of the table."""


def flat(of: str, figures: Mapping[str, TreatmentFigures]) -> dict[str, float]:
    """`set_treatment_split_metric` -> value, without what was not measured."""
    return {f"{of}_{label}_{name}": value for label, one in figures.items() for name, value in _named(one)}


def _named(told: TreatmentFigures) -> Iterator[tuple[str, float]]:
    for split, of_split in told.splits.items():
        for metric in _SPLIT:
            figure: Figure | None = getattr(of_split, metric)
            if figure is not None:
                yield f"{split}_{metric}", figure.value
    for part, quality in (told.quality or {}).items():
        yield f"{part}_fid", quality.fid.value
        yield f"{part}_kid", quality.kid.value
        if quality.fid_ratio is not None:
            yield f"{part}_fid_ratio", quality.fid_ratio.value
    for part, seconds in told.seconds.items():
        yield f"{part}_seconds", seconds.median.value
        if seconds.ratio_to_none is not None:
            yield f"{part}_seconds_ratio", seconds.ratio_to_none.value
        if seconds.added is not None:
            yield f"{part}_added_ms", round(1000 * seconds.added, 4)


def table(result: BenchResult) -> str:
    """A Markdown table a set, and below it what `auto` does not hold."""
    return "\n\n".join(_table(of, samples["figures"]) for of, samples in result.samples.items())


def _table(of: str, rows: Mapping[str, Any]) -> str:
    lines = [f"| {of} | " + " | ".join(COLUMNS) + " |", "|---|" + "---:|" * len(COLUMNS)]
    for label, told in rows.items():
        cells = [_cell(_found(told, column), column) for column in COLUMNS.values()]
        lines.append(f"| {'untreated' if label == UNTREATED else f'`{label}`'} | " + " | ".join(cells) + " |")
    if AUTO not in rows:
        return "\n".join(lines)
    lines.append("| *asked of `auto`* | " + " | ".join(_asked(column) for column in COLUMNS.values()) + " |")
    missed = ", ".join(missed_by(rows[AUTO])) or "nothing that was measured"
    return "\n".join([*lines, "", f"`auto` misses on {of}: {missed}."])


def missed_by(told: Mapping[str, Any]) -> list[str]:
    """Headings of what a row does not hold."""
    found = {heading: _found(told, column) for heading, column in COLUMNS.items()}
    return [heading for heading, figure in found.items() if figure is not None and _misses(figure, COLUMNS[heading])]


def _misses(figure: Mapping[str, Any], column: Column) -> bool:
    if column.asked is None:
        return False
    over: float = figure["value"] - column.asked
    return (-over if column.is_least else over) > 1e-9


def _found(told: Mapping[str, Any], column: Column) -> Mapping[str, Any] | None:
    found: Any = told
    for name in column.path:
        found = found.get(name) if found is not None else None
    return {"value": found} if isinstance(found, float | int) else found


def _cell(figure: Mapping[str, Any] | None, column: Column) -> str:
    if figure is None:
        return ""
    interval = figure.get("ci95")
    upper = f" (≤ {interval[1]:.3f})" if column.written == "upper" and interval else ""
    return _number(figure["value"], column) + upper


def _asked(column: Column) -> str:
    if column.asked is None:
        return ""
    return f"{'≥' if column.is_least else '≤'} {_number(column.asked, column)}"


def _number(value: float, column: Column) -> str:
    if column.written == "times":
        return f"{value:.2f}x"
    if column.written == "ms":
        return f"{1000 * value:.1f}"
    return f"{value:+.3f}" if column.written == "signed" else f"{value:.3f}"


@click.command()
@click.argument("result", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(*, result: Path) -> None:
    """Print the tables of RESULT."""
    click.echo(table(report.read(result)))


if __name__ == "__main__":
    main()
