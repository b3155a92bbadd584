"""What can be got ready inside a pipeline before a request asks for it. Only a protocol; it knows no queue."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Preparation(Protocol):
    """Work on a pipeline that draws nothing and may be given up at any time (`interruption`)."""

    def prepare(self, pipeline: Any) -> None:
        """Do it; where it is done already, nothing. Called in the worker's thread, like a steering."""
        ...
