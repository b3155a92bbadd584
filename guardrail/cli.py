"""The `expunge` command: a literal table of commands, each loaded only when it is called.

Knows names, one-line helps and exit codes: 0 it worked, 1 it ran and failed, 2 bad input, 130 stopped, told in one
line on stderr.
`expunge --help` imports no command.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import click

from guardrail.errors import ConfigError, GuardrailError, InvalidInput
from retrieval.errors import EntryConflict, EntryNotFound, EntryRevoked, InvalidEntry, RetrievalError

BAD_INPUT: Final = 2
STOPPED: Final = 130
FAILED: Final = 1
_BAD_INPUT_ERRORS: Final = (ConfigError, InvalidInput, InvalidEntry, EntryConflict, EntryNotFound, EntryRevoked)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a command lies ("module:attribute") and what it does, in one line."""

    target: str
    summary: str


COMMANDS: Final[dict[str, Place]] = {
    "init": Place(target="guardrail.commands.init:command", summary="Write a commented configuration file."),
    "demo": Place(target="guardrail.commands.demo:command", summary="Tell the whole story on one machine."),
    "serve": Place(target="guardrail.commands.serve:command", summary="Run the proxy."),
    "keys": Place(target="guardrail.commands.keys:command", summary="Create, list and revoke API keys."),
    "forget": Place(target="guardrail.commands.forget:command", summary="Manage what is to be forgotten."),
    "consolidate": Place(
        target="guardrail.commands.consolidate:command",
        summary="Take what is to be forgotten out of a model's weights.",
    ),
    "worker": Place(target="guardrail.commands.worker:command", summary="Take consolidation jobs."),
    "backup": Place(target="guardrail.commands.backup:backup_command", summary="Save the registry to a file."),
    "restore": Place(target="guardrail.commands.backup:restore_command", summary="Bring a saved registry back."),
    "doctor": Place(target="guardrail.commands.doctor:command", summary="Check the setup and say what to mend."),
    "eval": Place(target="guardrail.commands.eval:command", summary="Judge how well entries are found and forgotten."),
    "bench": Place(target="guardrail.commands.bench:command", summary="Measure the proxy (from a checkout)."),
}


class LazyGroup(click.Group):
    """A group over `COMMANDS` that prints errors as one line and exits 1 or 2."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command."""
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.target.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{place.target} is not a command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown name gets the nearest known one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            nearest = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean '{nearest[0]}'?" if nearest else ""
            raise click.UsageError(f"No such command '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without loading anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.summary) for name, place in COMMANDS.items()])

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, *_: Any, **extra: Any) -> NoReturn:
        """Run and exit with 0, 1 or 2."""
        extra["standalone_mode"] = False
        sys.exit(self._run(args, prog_name, extra))

    def _run(self, args: Sequence[str] | None, prog_name: str | None, extra: dict[str, Any]) -> int:
        try:
            result = super().main(args, prog_name, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message())
            return BAD_INPUT
        except click.UsageError as error:
            where = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
            return _fail(error.format_message() + where, BAD_INPUT)
        except click.ClickException as error:
            return _fail(error.format_message(), error.exit_code)
        except _BAD_INPUT_ERRORS as error:
            return _fail(str(error), BAD_INPUT)
        except (GuardrailError, RetrievalError) as error:
            return _fail(str(error), FAILED)
        except (click.Abort, KeyboardInterrupt, EOFError):
            return _fail("Stopped.", STOPPED)
        return result if isinstance(result, int) else 0


def _fail(message: str, code: int) -> int:
    click.echo(f"Error: {message}", err=True)
    return code


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="expunge", prog_name="expunge")
def cli() -> None:
    """Make a served model behave as if it never knew what it was told to forget.

    Expunge is a proxy in front of a model server. Clients speak the OpenAI API to it; you tell it what is to be
    forgotten, and from the next request on the model answers as if it had never known.

    Begin with `expunge demo`, or with `expunge init` and `expunge serve`.
    """


def main() -> NoReturn:
    """The console script."""
    cli.main(prog_name="expunge")
