"""What an index is: vectors that belong to entries, searched by nearness.

It does not know texts, embedders or what a kind means. Shapes: Q queries, N rows, D dimensions; rows have length 1 and
scores are cosines.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexRows:
    """The vectors of one entry [N, D] and the kind of each row."""

    entry_id: str
    kinds: tuple[str, ...]
    vectors: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The nearest row of an entry."""

    entry_id: str
    kind: str
    score: float


class VectorIndex(Protocol):
    """Owned by one thread at a time; the caller locks."""

    def __len__(self) -> int:
        """How many rows there are."""
        ...

    def put(self, rows: Sequence[IndexRows]) -> None:
        """Add entries' rows, in place of those that these entries had."""
        ...

    def remove(self, entry_ids: Collection[str]) -> None:
        """Remove entries' rows; entries that have none are no error."""
        ...

    def above(self, queries: NDArray[np.float32], threshold: float) -> list[list[Found]]:
        """For each query the entries with a row at or above `threshold`, best first, each with its best row."""
        ...

    def best(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """For each query the score of the nearest row of all; -1 in an empty index."""
        ...

    def to_bytes(self) -> bytes:
        """Everything, for a snapshot."""
        ...
