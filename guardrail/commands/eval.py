"""`expunge eval`: judge the product over files, with figures that anyone can run again.

`detection` judges the detectors and inspectors that serve, `images` what is drawn, `unlearning` (finetune's) what weights
know: the last two are found by name and loaded when they are called. Knows options and tables; the judging lies elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from guardrail import settings as settings_module
from guardrail.commands.handover import HANDED_OVER, hand_over, hand_to_finetune
from guardrail.commands.options import BadInput, CommandFailed, Stopped, json_option, print_json, print_table
from guardrail.evaluation import detection as judging
from guardrail.evaluation.figures import DetectionReport
from guardrail.settings import Settings
from retrieval.settings import RetrievalSettings

_FILE: Final = click.Path(dir_okay=False, path_type=Path)
_SHARE: Final = click.FloatRange(0.0, 1.0)
_UNLEARNING: Final = "finetune.cli.unlearning:command"
_IMAGES: Final = "guardrail.commands.eval_images:command"


@click.group("eval")
def command() -> None:
    """Judge how well entries are found and forgotten."""


@command.command()
@click.option("--entries", type=_FILE, required=True, help="Entries, one a line (JSON Lines).")
@click.option("--probes", type=_FILE, required=True, help="Probes, one a line: prompt or messages, expect, group.")
@click.option("--out", type=_FILE, required=True, help="Result file (JSON).")
@click.option("--config", type=_FILE, help="Configuration to judge. Default: embedder minilm-int8, all else as it is.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that judge.")
@click.option("--details", type=_FILE, help="Also write what became of each probe (JSON Lines: ids and scores).")
@click.option("--min-recall", type=_SHARE, help="Exit with 1 if less is caught, by request or answer.")
@click.option("--max-false-positive-rate", type=_SHARE, help="Exit with 1 if more is wrongly caught.")
@json_option
def detection(
    *,
    entries: Path,
    probes: Path,
    out: Path,
    config: Path | None,
    workers: int,
    details: Path | None,
    min_recall: float | None,
    max_false_positive_rate: float | None,
    as_json: bool,
) -> None:
    """Judge the detectors and inspectors that serve requests.

    Entries are registered in a registry of their own; then each probe is judged as a request would be, and its answer,
    where it has one, as if the model had said it. Nothing is learnt from probes, nothing is carried from one to the
    next. A run that was broken off goes on where it stopped when it is started again.
    """
    settings = settings_module.load(config) if config else _default()
    job = judging.Job(entries=entries, probes=probes, out=out, settings=settings, workers=workers, details=details)
    with _bars() as progress:
        try:
            report = judging.evaluate(job, progress)
        except OSError as error:
            raise BadInput(f"{error.filename or out} cannot be written: {error.strerror}.") from None
        except KeyboardInterrupt:
            raise Stopped("Stopped; the same command goes on from here.") from None
    if as_json:
        print_json(report.model_dump(mode="json", exclude_none=True))
    else:
        _show(report, out)
    _check(report, min_recall, max_false_positive_rate)


@command.command(
    context_settings=HANDED_OVER,
    add_help_option=False,
    short_help="Judge how well models, adapters and endpoints forgot.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def unlearning(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Hands over to finetune."""
    hand_to_finetune(ctx, _UNLEARNING, arguments)


@command.command(
    context_settings=HANDED_OVER,
    add_help_option=False,
    short_help="Judge how well entries are forgotten in pictures.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def images(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Loads its command when it is called."""
    ctx.exit(hand_over(_IMAGES, arguments, prog_name=ctx.command_path))


def _default() -> Settings:
    return Settings(retrieval=RetrievalSettings(embedder="minilm-int8"))


def _check(report: DetectionReport, min_recall: float | None, max_rate: float | None) -> None:
    """Raises `CommandFailed` where a limit that the user set is not held."""
    either = report.overall.either
    if min_recall is not None and (either.recall is None or either.recall < min_recall):
        raise CommandFailed(f"recall {_cell(either.recall)} is below {min_recall}.")
    rate = either.false_positive_rate
    if max_rate is not None and (rate is None or rate > max_rate):
        raise CommandFailed(f"false positive rate {_cell(rate)} is above {max_rate}.")


def _show(report: DetectionReport, out: Path) -> None:
    header = ("group", "n", "expected", "input", "output", "either", "95 %", "right entry")
    rows = [
        (
            label,
            group.n,
            group.expected,
            _cell(group.input_rate),
            _cell(group.output_rate),
            _cell(group.either_rate),
            f"{group.ci95[0]:.3f}-{group.ci95[1]:.3f}",
            _cell(group.right_entry_rate),
        )
        for label, group in report.groups.items()
    ]
    print_table(header, rows)
    told, either = report.overall.input, report.overall.either
    click.echo(
        f"\n{report.probes} probes, {report.entries} entries. Caught by the request: recall {_cell(told.recall)}, "
        f"false positives {_cell(told.false_positive_rate)}, AUROC {_cell(told.auroc)}; by request or answer: recall "
        f"{_cell(either.recall)}, false positives {_cell(either.false_positive_rate)}.\n"
        f"Deciding took {report.match_ms.p50} ms (median), {report.match_ms.p99} ms (99 %). Written to {out}."
    )


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


@contextmanager
def _bars() -> Iterator[judging.Progress]:
    """A bar a stage on stderr; nothing where that is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield tell
