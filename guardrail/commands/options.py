"""What the commands share: where the configuration is, how results are printed, how bad input is told.

Knows no single command.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import orjson

from guardrail import settings as settings_module
from guardrail.errors import ConfigError
from guardrail.settings import Settings

DEFAULT_CONFIG: Final = Path("expunge.yaml")
_Command = TypeVar("_Command", bound=Callable[..., Any])


class BadInput(click.ClickException):
    """What the user gave is wrong; exit code 2."""

    exit_code = 2


class Stopped(click.ClickException):
    """The user broke off; exit code 130, as shells have it."""

    exit_code = 130


class CommandFailed(click.ClickException):
    """The command ran and did not succeed; exit code 1."""

    exit_code = 1


def config_option(command: _Command) -> _Command:
    """`--config FILE`."""
    return click.option(
        "--config",
        "config",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="EXPUNGE_CONFIG",
        help="Configuration file. Default: expunge.yaml in this folder, if there is one.",
    )(command)


def json_option(command: _Command) -> _Command:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(command)


def load_settings(config: Path | None) -> Settings:
    """The settings of a file, of `expunge.yaml` here, or the defaults. Raises `ConfigError`."""
    if config is not None:
        return settings_module.load(config)
    return settings_module.load(DEFAULT_CONFIG) if DEFAULT_CONFIG.exists() else Settings()


def require_settings(config: Path | None) -> Settings:
    """The settings of a file or of `expunge.yaml` here; raises `ConfigError` if there is none."""
    if config is None and not DEFAULT_CONFIG.exists():
        raise ConfigError(f"There is no {DEFAULT_CONFIG} here: `expunge init` writes one, or name a file by --config.")
    return load_settings(config)


def print_json(value: Any) -> None:
    """Indented JSON on stdout."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode())


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns on stdout, each as wide as its longest cell."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    for row in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
