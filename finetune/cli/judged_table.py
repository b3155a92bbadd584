"""The report of a judgement as a table on the terminal: main figures of every model, and why some are missing."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from finetune.evaluation.report import Figure, SplitFigures
from finetune.evaluation.run import RETAIN, JudgedFigures, UnlearningReport

_MAIN_FIGURES: Final = (
    ("forget", "rouge_l_recall"),
    ("forget", "probability"),
    ("forget", "truth_ratio"),
    ("forget", "forget_quality"),
    ("forget", "ks_distance"),
    ("forget", "extraction_strength"),
    ("forget", "leak_rate"),
    ("paraphrase", "rouge_l_recall"),
    ("paraphrase", "leak_rate"),
    ("adversarial", "leak_rate"),
    ("forget", "refusal_rate"),
    ("neighbor", "rouge_l_recall"),
    ("retain", "rouge_l_recall"),
    ("retain", "refusal_rate"),
    ("retain", "gibberish_rate"),
    ("utility", "rouge_l_recall"),
    ("utility", "model_utility"),
)


def show_judged(report: UnlearningReport, out: Path) -> None:
    """Print it; `out` is the result file."""
    judged = {**report.models, **({RETAIN: report.retain_model} if report.retain_model else {})}
    console = Console(width=None if sys.stdout.isatty() else 160)
    table = Table("", *judged, box=None, pad_edge=False)
    for split, metric in _MAIN_FIGURES:
        cells = [_cell(figures.split(split), metric) for figures in judged.values()]
        if any(cells):
            table.add_row(f"{split} {metric}", *(cell or "-" for cell in cells))
    console.print(table)
    asked = ", ".join(f"{count} {name}" for name, count in report.config["questions"].items() if count)
    click.echo(f"\nAsked: {asked}. With 95 % intervals; '-' was not measured, and {out} says why.")
    for label, reason in _reasons(judged):
        click.echo(f"  {label}: {reason}")


def _cell(figures: SplitFigures, metric: str) -> str:
    figure: Figure | None = figures.measured.get(metric)
    if figure is None:
        return ""
    spread = f" ({figure.ci95[0]:.3f}-{figure.ci95[1]:.3f})" if figure.ci95 is not None else ""
    return f"{figure.value:.3f}{spread}"


def _reasons(judged: Mapping[str, JudgedFigures]) -> Sequence[tuple[str, str]]:
    """Why main figures are missing, each reason once a model."""
    found: dict[tuple[str, str], list[str]] = {}
    for label, figures in judged.items():
        for split, metric in _MAIN_FIGURES:
            absent = figures.split(split).absent.get(metric)
            if absent is not None:
                found.setdefault((label, absent.reason), []).append(f"{split} {metric}")
    return [(label, f"{', '.join(names)}: {reason}") for (label, reason), names in found.items()]
