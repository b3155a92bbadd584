"""`expunge demo`: hands over to the demo's own story.

Knows nothing of what the demo shows; it is loaded only when asked for.
"""

from __future__ import annotations

import click

from guardrail.commands.handover import hand_over


@click.command(
    "demo",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Tell the whole story on one machine with the embedded model."""
    ctx.exit(hand_over("guardrail.demo.story:main", arguments, prog_name="expunge demo"))
