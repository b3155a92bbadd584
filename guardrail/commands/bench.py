"""`expunge bench`: hands over to the benchmarks of a checkout, and says so where they are absent.

The installed package carries no benchmarks: they start mock servers and load generators that a user of the proxy does
not need. Knows none of them.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import click

from guardrail.commands.handover import hand_over
from guardrail.commands.options import BadInput


def _is_there() -> bool:
    here = str(Path.cwd())
    # A console script does not look for modules in the current folder; a checkout is where it is run from.
    if Path(here, "benchmarks", "cli.py").is_file() and here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.util.find_spec("benchmarks.cli") is not None
    except ModuleNotFoundError:
        return False


@click.command(
    "bench",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Measure the proxy: `expunge bench proxy --out result.json`."""
    if not _is_there():
        raise BadInput("The benchmarks are not part of the installed package; run this in a checkout of Expunge.")
    ctx.exit(hand_over("benchmarks.cli:main", arguments, prog_name="expunge bench"))
