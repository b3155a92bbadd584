"""What an embedder is: texts in, unit vectors out.

It does not know entries or thresholds. Cosine of two texts is the dot product of their rows. Shapes: N texts, D
dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors: TypeAlias = NDArray[np.float32]
    """float32 [N, D], rows of length 1."""


class Embedder(Protocol):
    """A loaded model. `embed` is synchronous and may be called from several threads; never on the event loop.

    `fingerprint` changes whenever the same text could get another vector: model files and recipe are part of it.
    A text's vector does not depend on the texts beside it beyond rounding.
    """

    @property
    def name(self) -> str:
        """Name for people."""
        ...

    @property
    def dim(self) -> int:
        """D."""
        ...

    @property
    def fingerprint(self) -> str:
        """Tells vectors of this model from all others."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit row a text; an empty sequence gives shape [0, D]."""
        ...


class TwoSidedEmbedder(Embedder, Protocol):
    """An embedder that may read what is asked and what is searched differently; `embed` is for what is searched."""

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """One unit row a text, as what is asked."""
        ...
