"""`expunge worker`: hands over to finetune's, with the data folder of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from guardrail.commands.handover import HANDED_OVER, hand_to_finetune
from guardrail.commands.options import load_settings

_WORKER: Final = "finetune.cli.worker:command"


@click.command("worker", context_settings=HANDED_OVER, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Take consolidation jobs."""
    given = list(arguments)
    config: Path | None = None
    for place, one in enumerate(given):
        if one == "--config" and place + 1 < len(given):
            config = Path(given[place + 1])
            del given[place : place + 2]
            break
    if "--data-dir" not in given and not {"--help", "-h"} & set(given):
        given = ["--data-dir", str(load_settings(config).retrieval.data_dir), *given]
    hand_to_finetune(ctx, _WORKER, given)
