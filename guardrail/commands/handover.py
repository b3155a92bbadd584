"""Calling a command line that lives in another part of the product, with the rest of the arguments untouched.

The other side is a click command, or a function that takes the list of arguments and returns an exit code or None.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import click


def hand_over(target: str, arguments: Sequence[str], *, prog_name: str) -> int:
    """Run "module:attribute" with `arguments`; returns its exit code."""
    module, _, attribute = target.partition(":")
    command = getattr(importlib.import_module(module), attribute)
    if isinstance(command, click.Command):
        result = command.main(list(arguments), prog_name=prog_name, standalone_mode=False)
    else:
        result = command(list(arguments))
    return result if isinstance(result, int) else 0
