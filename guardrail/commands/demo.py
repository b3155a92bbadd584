"""`expunge demo`: hands over to the demo's own stories, the one in words or the one in pictures.

Knows nothing of what they show; a story is loaded only when it is asked for.
"""

from __future__ import annotations

import click

from guardrail.commands.handover import HANDED_OVER, hand_over


@click.command("demo", context_settings=HANDED_OVER, add_help_option=False)
@click.option("--images", is_flag=True, help="Tell it in pictures.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, arguments: tuple[str, ...], *, images: bool) -> None:
    """Tell the whole story on one machine with the embedded model; --images: with the one that draws."""
    if images:
        ctx.exit(hand_over("guardrail.demo.pictures_story:main", arguments, prog_name="expunge demo --images"))
    code = hand_over("guardrail.demo.story:main", arguments, prog_name="expunge demo")
    if "--help" in arguments:
        click.echo("\nThe same with pictures: expunge demo --images (see expunge demo --images --help).")
    ctx.exit(code)
