"""What `expunge consolidate run` and `assistant` share: groups of options, and what is said where memory runs out.

A group keeps its order in the help. What the options come to is `run_options.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, get_args

import click
import torch

from finetune.cli.exits import CommandFailed
from finetune.data.tokens import MAX_TOKENS
from finetune.settings import TrainingPlan

PLACE: Final = click.Path(path_type=Path)
"""A file or a folder."""

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _group(*options: Decorator) -> Decorator:
    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


what_is_forgotten: Final = _group(
    click.option(
        "--entries", type=PLACE, metavar="E.jsonl", help="What is to be forgotten: forget entries, one a line."
    ),
    click.option("--suite", type=PLACE, metavar="DIR", help="Or a suite's folder, with texts to forget and to keep."),
)
step_options: Final = _group(
    click.option("--retain-per-forget", type=int, metavar="N", help="Texts to keep with each of them. Default: 1."),
    click.option("--accumulation", type=int, help="Forward passes in a step. Default: 1."),
    click.option("--gradient-checkpointing", is_flag=True, default=None, help="Less memory, a third slower."),
)
computing_options: Final = _group(
    click.option(
        "--dtype", type=click.Choice(get_args(TrainingPlan.model_fields["dtype"].annotation)), help="Computed in."
    ),
    click.option("--seed", type=int, help="Of all that is drawn. Default: 0."),
)
text_options: Final = _group(
    click.option("--retain", type=PLACE, metavar="FILE_or_DIR", help="Texts to keep. Default: the suite's own."),
    click.option(
        "--retain-generated",
        type=int,
        metavar="N",
        help="And N of the model's own answers to ordinary prompts. Default: 64 for --entries without --retain, else 0.",
    ),
    click.option("--training-paraphrases", type=int, metavar="N", help="Of each question, trained on too. Default: 0."),
    click.option(
        "--max-tokens", type=int, default=MAX_TOKENS, show_default=True, help="Longest text; a longer one is cut."
    ),
)
outcome_options: Final = _group(
    click.option("--dry-run", is_flag=True, help="Check everything and say what would be done; write nothing."),
    click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
)


@contextmanager
def memory_told() -> Iterator[None]:
    """The estimate is one: where memory runs out all the same, `CommandFailed` says what helps."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise CommandFailed(
            "The device ran out of memory, more than was estimated. Lower --batch-size and raise --accumulation, take "
            "--gradient-checkpointing, or train an adapter, and name another --out: it is another run then."
        ) from None
