"""`expunge consolidate`: take what is to be forgotten out of a model's weights.

What trains is finetune's, found by name and loaded when it is called; what workers do is asked of the admin API. Knows no
methods.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import click

from guardrail.commands import consolidations
from guardrail.commands.handover import HANDED_OVER, hand_to_finetune

_HANDED_OVER: Final[Mapping[str, tuple[str, str]]] = {
    "run": ("finetune.cli.consolidate:command", "Make one model forget by one method."),
    "assistant": ("finetune.cli.assistant:command", "Train the small model that `offset` subtracts."),
    "shards": ("finetune.cli.shards:command", "Learn in shards, so that forgetting is exact."),
}
"""Name -> "module:command" of finetune, and what it does."""


@click.group("consolidate")
def command() -> None:
    """Take what is to be forgotten out of a model's weights.

    The proxy forgets at once, in the serving path. What shall stay forgotten can also be trained out of the model itself.

    By itself: `expunge consolidate schedule --cron "0 3 * * *"`, and a worker (`expunge worker`) that trains, judges, and
    publishes what passes its gate. `plan` shows what is due, `status` what runs, `rollback` takes weights out again.

    By hand: `run` makes an adapter or a model from entries or a suite, `assistant` the small model that the treatment
    `offset` subtracts, `shards` additions to a model out of which texts can be taken exactly.
    """


def _handed_over(name: str, target: str, told: str) -> click.Command:
    @click.command(name, context_settings=HANDED_OVER, add_help_option=False, short_help=told)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    @click.pass_context
    def handed_over(ctx: click.Context, arguments: tuple[str, ...]) -> None:
        hand_to_finetune(ctx, target, arguments)

    return handed_over


for _name, (_target, _told) in _HANDED_OVER.items():
    command.add_command(_handed_over(_name, _target, _told))
for _one in consolidations.COMMANDS:
    command.add_command(_one)
