"""How far a training is: a bar on a terminal, a line now and then off it, and how long it will take."""

from __future__ import annotations

import io

from rich.console import Console

from finetune.cli.bars import TrainingProgress
from finetune.training.loop import StepReport


def report(step: int, steps: int) -> StepReport:
    return StepReport(
        step=step, steps=steps, epoch=1, loss=2.5, terms={}, learning_rate=1e-4, grad_norm=1.0, tokens=100, step_s=2.0
    )


def told(*reports: StepReport, terminal: bool = False) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120)
    progress = TrainingProgress(console)
    with progress.bars:
        for one in reports:
            progress.step(one)
        progress.say("Writing [the weights].")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_off_a_terminal_the_first_step_and_every_tenth_part_is_a_line() -> None:
    lines = told(*(report(step, 40) for step in range(1, 41))).splitlines()
    assert lines[0] == "Training step 1/40, loss 2.5, 50 tokens/s, 0:01:18 left"
    assert [line.split()[2] for line in lines[1:-1]] == [f"{step}/40," for step in range(4, 41, 4)]
    assert lines[-2].endswith("0:00:00 left")
    assert lines[-1] == "Writing [the weights]."


def test_a_resumed_training_says_what_is_left_of_the_whole() -> None:
    assert told(report(31, 40)).startswith("Training step 31/40, loss 2.5, 50 tokens/s, 0:00:18 left\n")


def test_steps_that_begin_anew_are_another_stage() -> None:
    lines = told(report(1, 2), report(2, 2), report(1, 2)).splitlines()
    assert lines[2].startswith("Training, stage 2 step 1/2, ")


def test_on_a_terminal_a_bar_shows_steps_loss_pace_and_time() -> None:
    text = told(report(1, 4), report(2, 4), terminal=True)
    assert "2/4" in text
    assert "loss 2.5, 50 tokens/s, 0:00:04 left" in text
    assert "step 2/4" not in text
    assert "Writing [the weights]." in text
