"""What a picture embedder is: pictures in, unit vectors out.

It does not know entries or thresholds. Likeness of two pictures is the dot product of their rows. Shapes: N pictures or
texts, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Vectors: TypeAlias = NDArray[np.float32]
    """float32 [N, D], rows of length 1."""


class PictureEmbedder(Protocol):
    """A loaded model. Methods are synchronous and slow; never on the event loop.

    `fingerprint` changes whenever the same picture could get another vector.
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

    @property
    def threshold(self) -> float:
        """Cosine from which on two pictures show the same, where nothing better is known."""
        ...

    def embed(self, pictures: Sequence[Image]) -> Vectors:
        """One unit row a picture (RGB); an empty sequence gives shape [0, D]."""
        ...


@runtime_checkable
class ReadsTexts(Protocol):
    """A picture embedder that puts texts into the same space, so that a picture can be held against words."""

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """One unit row a text; an empty sequence gives shape [0, D]."""
        ...
