"""How far long work is, on stderr: bars on a terminal; off it, nothing for judging and a line now and then for training.

It does not know what is judged or trained.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from finetune.data.loading import without_bars_of_transformers
from finetune.evaluation.run import Say
from finetune.training.denoising.loop import DenoisingReport
from finetune.training.loop import StepReport

_LINES: Final = 10


@contextmanager
def stage_bars() -> Iterator[Say]:
    """A bar a stage; nothing where stderr is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bars:
        tasks: dict[str, TaskID] = {}

        def say(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield say


class TrainingProgress:
    """A run that tells what it does and every step it takes. A method of several stages counts its steps anew in each."""

    def __init__(self, console: Console) -> None:
        """A bar if the console is a terminal, else a line at the first step and then some ten a stage."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[at]}"))
        self.bars = Progress(*columns, console=console, disable=not console.is_terminal)
        self._console = console
        self._task: TaskID | None = None
        self._drawing: TaskID | None = None
        self._stage, self._last = 0, 0
        self._steps, self._tokens, self._seconds = 0, 0, 0.0

    def say(self, line: str) -> None:
        """A line of its own."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def drawing(self, done: int, of: int) -> None:
        """A bar of the pictures that are trained on; nothing off a terminal."""
        if self._drawing is None:
            self._drawing = self.bars.add_task("Drawing", total=of, at="")
        self.bars.update(self._drawing, completed=done)

    def step(self, report: StepReport | DenoisingReport) -> None:
        """After every step."""
        if self._stage == 0 or report.step <= self._last:
            self._begin(report)
        self._last = report.step
        self._steps, self._tokens = self._steps + 1, self._tokens + getattr(report, "tokens", 0)
        self._seconds += report.step_s
        at = self._at(report)
        if self._console.is_terminal and self._task is not None:
            self.bars.update(self._task, completed=report.step, at=at)
        elif self._steps == 1 or report.step * _LINES // report.steps > (report.step - 1) * _LINES // report.steps:
            self.say(f"{self._name()} step {report.step}/{report.steps}, {at}")

    def _begin(self, report: StepReport | DenoisingReport) -> None:
        """A stage; a resumed one does not begin at its first step."""
        self._stage += 1
        self._steps, self._tokens, self._seconds = 0, 0, 0.0
        self._task = self.bars.add_task(self._name(), total=report.steps, completed=report.step - 1, at="")

    def _name(self) -> str:
        return "Training" if self._stage == 1 else f"Training, stage {self._stage}"

    def _at(self, report: StepReport | DenoisingReport) -> str:
        left = timedelta(seconds=round((report.steps - report.step) * self._seconds / self._steps))
        pace = f"{self._tokens / self._seconds:.0f} tokens/s, " if self._seconds and self._tokens else ""
        return f"loss {report.loss:.4g}, {pace}{left} left"


@contextmanager
def training_progress() -> Iterator[TrainingProgress]:
    """On stderr; the bars that transformers draws by itself are kept away."""
    progress = TrainingProgress(Console(stderr=True, force_terminal=sys.stderr.isatty()))
    with without_bars_of_transformers(), progress.bars:
        yield progress
