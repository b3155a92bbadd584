"""The options of every command that speaks to the admin API, and the way there that they ask for.

Knows no single command.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import click

from guardrail.commands.admin_client import AdminClient, connect
from guardrail.commands.options import config_option, json_option

_Command = TypeVar("_Command", bound=Callable[..., Any])


def connected(command: _Command) -> _Command:
    """The options that say which proxy, or that none runs."""
    for option in (
        config_option,
        click.option(
            "--admin-url", envvar="EXPUNGE_ADMIN_URL", help="The proxy's admin listener. Default: as configured."
        ),
        click.option("--key", envvar="EXPUNGE_ADMIN_KEY", help="Admin key; better given as EXPUNGE_ADMIN_KEY."),
        click.option("--offline", is_flag=True, help="Work on the data folder; only while no proxy runs."),
        json_option,
    ):
        command = option(command)
    return command


def client_of(where: Mapping[str, Any]) -> AbstractContextManager[AdminClient]:
    """The admin API as these options name it."""
    return connect(**{name: where[name] for name in ("config", "admin_url", "key", "offline")})
