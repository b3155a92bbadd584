"""What a picture classifier is: pictures in, labels with probabilities out. It does not know entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image


class PictureClassifier(Protocol):
    """A loaded model. Methods are synchronous and slow; never on the event loop."""

    def labels(self, pictures: Sequence[Image]) -> list[Mapping[str, float]]:
        """For each picture (RGB) its labels with probabilities, 0..1; labels that are not there may be left out."""
        ...
