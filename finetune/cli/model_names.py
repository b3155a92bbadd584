"""What a model is called: from the name a user gives to what transformers loads, and to what reports show.

Packaged models are not known here: whoever runs a command may hand in what their names stand for, as the context's object.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

Resolve = Callable[[str], str]
"""From a model's name to a folder or hub id that transformers loads."""


def resolver_of(ctx: click.Context) -> Resolve:
    """What was handed in; else every name stands for itself."""
    return ctx.obj if callable(ctx.obj) else str


def shown(source: str) -> str:
    """A model's name without the folders above it."""
    return Path(source).resolve().name if Path(source).exists() else source
