"""How a command ends where it does not succeed: exit code 2 for bad input, 1 for work that failed, 130 where the user
stopped it, told in one line.

It knows errors, not commands. Errors become click's, so that whoever runs a command sees the code.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

from finetune.errors import EndpointFailed, FinetuneError, TrainingDiverged

STOPPED: Final = "Stopped; the same command goes on from here."

_FAILED: Final = (EndpointFailed, TrainingDiverged)


class BadInput(click.ClickException):
    """What the user gave is wrong; exit code 2."""

    exit_code = 2


class Stopped(click.ClickException):
    """The user broke off; exit code 130, as shells have it."""

    exit_code = 130


class CommandFailed(click.ClickException):
    """The command ran and did not succeed; exit code 1."""

    exit_code = 1


@contextmanager
def told(*, stopped: str = STOPPED) -> Iterator[None]:
    """Errors as click tells them, in one line; `stopped` is said where the user breaks off."""
    try:
        yield
    except FinetuneError as error:
        raise (CommandFailed if isinstance(error, _FAILED) else BadInput)(str(error)) from None
    except KeyboardInterrupt:
        raise Stopped(stopped) from None
