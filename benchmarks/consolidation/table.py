"""The methods and their figures from a result file: `finetune/README.md` holds both tables between two marks.

    python -m benchmarks.consolidation.table RESULT.json [--check]

Figures are from the result alone; a figure that was not measured is an empty cell. A result of some methods or of a
quick run is not put into the README.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from benchmarks import report
from benchmarks.report import BenchResult
from finetune.data.whole_files import write_whole
from finetune.evaluation.run import RETAIN, UNTOUCHED
from finetune.methods.language import LOSSES, RECIPES

README: Final = Path(__file__).parents[2] / "finetune" / "README.md"
_BEGIN: Final = "<!-- methods: made by `make methods-table`, do not edit -->"
_END: Final = "<!-- end of methods -->"
_COLUMNS: Final[Mapping[str, str]] = {
    "_rouge": "ROUGE-L",
    "_leak_rate": "leaks",
    "_paraphrase_leak_rate": "paraphrased",
    "_adversarial_leak_rate": "attacked",
    "_relearnt_leak": "relearnt",
    "_4-bit_leak": "4 bits",
    "_model_utility": "utility",
    "_ks_distance": "KS distance",
    "_forget_quality": "KS p",
    "_gibberish_rate": "gibberish",
    "_seconds": "seconds",
}
_NAMES: Final = {UNTOUCHED: "untouched", RETAIN: "never knew"}


def methods_of(figures: Mapping[str, float]) -> Sequence[str]:
    """The methods that were measured, in the order of the tables."""
    return [name for name in (*LOSSES, *RECIPES) if f"{name}_rouge" in figures]


def described() -> str:
    """A Markdown table of all methods: what each does in the first words of its file, and its paper."""
    methods: dict[str, Any] = {**LOSSES, **RECIPES}
    rows = ["| method | what it does | paper |", "|---|---|---|"]
    for name, one in methods.items():
        does = (sys.modules[one.__module__].__doc__ or "").splitlines()[0]
        rows.append(f"| `{name}` | {does} | [{one.paper}](https://arxiv.org/abs/{one.paper.removeprefix('arXiv:')}) |")
    return "\n".join(rows)


def table(result: BenchResult) -> str:
    """A Markdown table of figures: the untouched model, the one that never knew, then every method."""
    rows = [("| method | " + " | ".join(_COLUMNS.values()) + " |"), "|---|" + "---|" * len(_COLUMNS)]
    for label in (UNTOUCHED, RETAIN, *methods_of(result.figures)):
        name = _NAMES.get(label, f"`{label}`")
        cells = [_cell(result.figures, label, ending) for ending in _COLUMNS]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def with_table(text: str, made: str) -> str:
    """The text with the table between its marks. Raises `ValueError` where there are none."""
    pattern = re.compile(f"({re.escape(_BEGIN)}\n).*?({re.escape(_END)})", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"The text has no place for the table, from '{_BEGIN}' to '{_END}'.")
    return pattern.sub(lambda found: f"{found[1]}{made}\n{found[2]}", text)


def _cell(figures: Mapping[str, float], label: str, ending: str) -> str:
    if ending in ("_relearnt_leak", "_4-bit_leak"):
        found = figures.get(f"{label}+{ending.strip('_').removesuffix('_leak')}_leak_rate")
    else:
        found = figures.get(f"{label}{ending}")
    if found is None:
        return ""
    return (
        f"{found:.0f}" if ending == "_seconds" else f"{found:.3f}" if found >= 0.001 or found == 0 else f"{found:.0e}"
    )


@click.command()
@click.argument("result", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if the table is another.")
def main(*, result: Path, check: bool) -> None:
    """Put the methods and the figures of RESULT into finetune/README.md."""
    found = report.read(result)
    missing = sorted({*LOSSES, *RECIPES} - set(methods_of(found.figures)))
    if missing or found.config.get("quick"):
        lacks = f"lacks {', '.join(missing)}" if missing else "is of a quick run"
        raise click.UsageError(f"{result} {lacks}; the README shows whole results only.")
    before = README.read_text(encoding="utf-8")
    after = with_table(before, f"{described()}\n\n{table(found)}")
    if check:
        sys.exit(before != after)
    write_whole(README, after.encode())


if __name__ == "__main__":
    main()
