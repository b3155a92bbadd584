"""NudeNet: a detector of exposed and covered parts of bodies (github.com/notAI-tech/NudeNet), where it is installed.

Its labels are those of the package ("FEMALE_BREAST_EXPOSED"); a picture has a label as surely as the surest box of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from PIL.Image import Image

    from retrieval.settings import PictureClassifierSettings


class NudeNet:
    """See the module. `detector`: a `nudenet.NudeDetector`."""

    def __init__(self, detector: Any) -> None:
        self._detector = detector

    @classmethod
    def load(cls, settings: PictureClassifierSettings) -> Self:
        """With the package's own model, or with the file that the settings name. Raises `ImportError`."""
        from importlib import import_module

        make: Any = import_module("nudenet").NudeDetector
        return cls(make(model_path=str(settings.model)) if settings.model else make())

    def labels(self, pictures: Sequence[Image]) -> list[Mapping[str, float]]:
        """See the protocol."""
        import numpy as np

        found: list[Mapping[str, float]] = []
        for picture in pictures:
            blue_first_HWC = np.ascontiguousarray(np.asarray(picture.convert("RGB"))[:, :, ::-1])
            surest: dict[str, float] = {}
            for box in self._detector.detect(blue_first_HWC):
                surest[box["class"]] = max(surest.get(box["class"], 0.0), float(box["score"]))
            found.append(surest)
        return found
