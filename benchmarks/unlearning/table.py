"""The rows and their figures from a result file, as a Markdown table.

    python -m benchmarks.unlearning.table RESULT.json [--brief]

Figures are from the result alone; a figure that was not measured is an empty cell. Leak rates stand with the upper end of
their 95 % interval. Below the table stands what its rows and columns are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from benchmarks import report
from benchmarks.report import BenchResult
from benchmarks.unlearning.rows import CANNED, ICU, UNTRAINED
from finetune.evaluation.run import RETAIN, UNTOUCHED

NAMES: Final[Mapping[str, str]] = {
    UNTOUCHED: "untreated",
    RETAIN: "never knew",
    ICU: "plain prompt (ICU)",
    CANNED: "canned refusal",
    UNTRAINED: "never learnt any of it (untrained)",
    "icu_gated": "filter and prompt (ICU behind the gate)",
    "icul_alone": "ICUL alone",
    "eco_alone": "ECO alone",
}
"""Rows that are called otherwise than as treatments with the ladder."""

LADDER: Final = "+ ladder"
LEGEND: Final = (
    f"- `treatment` {LADDER}: with Expunge's ladder, so answers are inspected and, where they leak, begun anew, cut or "
    "replaced by the natural answer. Alone: the published method behind the same gate, its first answer sent as it is.",
    '- ≤: upper end of the 95 % interval, over authors; "all probes" also over facts (a question with its paraphrases and '
    "attacks) and over questions, each taken for a witness of its own (Wilson).",
    "- Times: medians over questions of the ratio to the untreated row, from a pass in which nothing else ran. Same bytes: "
    "but for id and time.",
)

COLUMNS: Final[Mapping[str, tuple[str, str, str]]] = {
    "ROUGE-L": ("forget", "rouge_l_recall", "value"),
    "leaks": ("forget", "leak_rate", "upper"),
    "ROUGE-L, paraphrased": ("paraphrase", "rouge_l_recall", "value"),
    "paraphrased": ("paraphrase", "leak_rate", "upper"),
    "attacked": ("adversarial", "leak_rate", "upper"),
    "all probes": ("probes", "leak_rate", "upper"),
    "all probes, over facts": ("probes", "leak_rate_by_fact", "upper"),
    "all probes, over questions": ("probes", "leak_rate_over_questions", "upper"),
    "in conversation": ("conversations", "told_rate", "upper"),
    "informed": ("informed", "told_rate", "upper"),
    "refusals": ("forget", "refusal_rate", "value"),
    "gibberish": ("forget", "gibberish_rate", "value"),
    "written by the model": ("by_model", "plain", "value"),
    "whole as the model wrote it": ("by_model", "plain_whole", "value"),
    "neighbours": ("neighbor", "rouge_l_recall", "value"),
    "real authors": ("real_authors", "rouge_l_recall", "value"),
    "world facts": ("world_facts", "rouge_l_recall", "value"),
    "mixed, kept half": ("mixed_kept", "rouge_l_recall", "value"),
    "mixed, leaks": ("mixed_forgotten", "leak_rate", "upper"),
    "same bytes": ("untouched", "identical", "value"),
    "same bytes, if let pass": ("untouched", "identical_if_passed", "value"),
    "told apart (AUROC)": ("oracle", "auroc", "value"),
    "time": ("cost", "seconds_ratio", "times"),
    "time, not begun anew": ("cost", "once_seconds_ratio", "times"),
    "time, neighbours": ("cost", "kept_seconds_ratio", "times"),
    "begun anew": ("cost", "rewrite_rate", "value"),
    "prompt tokens": ("cost", "prompt_tokens_added", "signed"),
}
"""Heading -> split, metric, and how it is written."""

BRIEF: Final[Mapping[str, tuple[str, str, str]]] = {
    heading: COLUMNS[heading]
    for heading in (
        "ROUGE-L",
        "leaks",
        "paraphrased",
        "attacked",
        "all probes, over questions",
        "informed",
        "refusals",
        "gibberish",
        "written by the model",
        "neighbours",
        "same bytes",
        "told apart (AUROC)",
        "time",
    )
}
"""Those that a README can hold."""


def table(result: BenchResult, columns: Mapping[str, tuple[str, str, str]] = COLUMNS) -> str:
    """A Markdown table, one line a row."""
    lines = ["| treatment | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for label, figures in result.samples["rows"].items():
        cells = [_cell(figures, split, metric, written) for split, metric, written in columns.values()]
        lines.append(f"| {name_of(label)} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *LEGEND])


def name_of(label: str) -> str:
    """A row as readers know it."""
    return NAMES.get(label, f"`{label}` {LADDER}")


def figure_of(figures: Mapping[str, Any], split: str, metric: str) -> Mapping[str, Any] | None:
    """A figure of a row with its n and interval, if it was measured."""
    found: Mapping[str, Any] | None = figures.get(split, {}).get("measured", {}).get(metric)
    return found


def _cell(figures: Mapping[str, Any], split: str, metric: str, written: str) -> str:
    found = figure_of(figures, split, metric)
    if found is None:
        return ""
    value, interval = found["value"], found["ci95"]
    if written == "times":
        return f"{value:.2f}x"
    if written == "signed":
        return f"{value:+.1f}"
    return f"{value:.3f} (≤ {interval[1]:.3f})" if written == "upper" and interval else f"{value:.3f}"


@click.command()
@click.argument("result", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--brief", is_flag=True, help="Thirteen figures a row, as a README can hold them.")
def main(*, result: Path, brief: bool) -> None:
    """Print the table of RESULT."""
    click.echo(table(report.read(result), BRIEF if brief else COLUMNS))


if __name__ == "__main__":
    main()
