"""What a launcher is: it starts the process that trains and judges a job, tells its lines, and can end it.

A launcher knows a command and a folder, not jobs, entries or methods.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Protocol


class Launched(Protocol):
    """A process under way."""

    def lines(self) -> Iterator[str]:
        """What it says on stdout, line by line, as it comes; an empty line now and then while it is silent."""

    def wait(self) -> int:
        """Its exit code, once `lines` has ended."""

    def error(self) -> str:
        """The last line that it said on stderr."""

    def stop(self) -> None:
        """End it, and whatever it started; it may be started again later."""


class Launcher(Protocol):
    """A frozen dataclass whose fields say where and with what. Raises `LaunchFailed` where nothing can be started."""

    name: ClassVar[str]

    def launch(self, command: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> Launched:
        """Start it. Its stderr goes to `log`."""
