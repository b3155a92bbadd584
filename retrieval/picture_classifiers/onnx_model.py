"""Any image classifier as an ONNX file: pictures scaled to its input, its outputs read as probabilities of labels.

The model takes one float tensor [N, 3, H, W] (N may be fixed to 1) and gives [N, L] of logits, L labels in the order of the
settings. Pictures are scaled to H x W, divided by 255, and normed by mean and deviation of the settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from retrieval.errors import EmbedderUnavailable

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from retrieval.settings import PictureClassifierSettings

_DEFAULT_SIDE: Final = 224


class OnnxClassifier:
    """See the module. `session`: an `onnxruntime.InferenceSession`."""

    def __init__(self, session: Any, settings: PictureClassifierSettings) -> None:
        self._session = session
        self._names = tuple(settings.names)
        self._exclusive = settings.exclusive
        taken = session.get_inputs()[0]
        self._input = taken.name
        height, width = (side if isinstance(side, int) else _DEFAULT_SIDE for side in taken.shape[2:])
        self._size = (width, height)
        self._mean = np.asarray(settings.mean, dtype=np.float32)
        self._deviation = np.asarray(settings.deviation, dtype=np.float32)

    @classmethod
    def load(cls, settings: PictureClassifierSettings) -> Self:
        """Raises `EmbedderUnavailable` for a file that is no such model, `ImportError` without onnxruntime."""
        import onnxruntime

        try:
            session = onnxruntime.InferenceSession(str(settings.model), providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 - the runtime raises many kinds, all of its own
            raise EmbedderUnavailable(
                f"picture_classifiers: '{settings.model}' is no ONNX model that can be loaded ({type(error).__name__})."
            ) from None
        shapes = session.get_inputs()[0].shape, session.get_outputs()[0].shape
        if len(shapes[0]) != 4 or len(shapes[1]) != 2:
            raise EmbedderUnavailable(
                f"picture_classifiers: '{settings.model}' must take [N, 3, H, W] and give [N, L]; "
                f"it takes {list(shapes[0])} and gives {list(shapes[1])}."
            )
        if isinstance(shapes[1][1], int) and shapes[1][1] != len(settings.names):
            raise EmbedderUnavailable(
                f"picture_classifiers: '{settings.model}' gives {shapes[1][1]} values a picture, "
                f"but 'names' lists {len(settings.names)} labels."
            )
        return cls(session, settings)

    def labels(self, pictures: Sequence[Image]) -> list[Mapping[str, float]]:
        """See the protocol. One picture a run: many exported models take no more."""
        return [dict(zip(self._names, self._probabilities(one), strict=True)) for one in pictures]

    def _probabilities(self, picture: Image) -> list[float]:
        from PIL import Image

        scaled = picture.convert("RGB").resize(self._size, Image.Resampling.BICUBIC)
        pixels_HWC = np.asarray(scaled, dtype=np.float32) / 255.0
        normed_CHW = ((pixels_HWC - self._mean) / self._deviation).transpose(2, 0, 1)
        logits_L: NDArray[np.float64] = np.asarray(
            self._session.run(None, {self._input: normed_CHW[None].astype(np.float32)})[0][0], dtype=np.float64
        )
        if self._exclusive:
            weights = np.exp(logits_L - logits_L.max())
            return [float(one) for one in weights / weights.sum()]
        return [float(one) for one in 1.0 / (1.0 + np.exp(-logits_L))]
