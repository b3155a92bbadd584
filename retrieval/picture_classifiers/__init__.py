"""What labels pictures with fixed words: one file a classifier, and the table of their loaders.

A picture with a label shows every entry that is called so; `labels` in the settings gives a label other words. Loading is
slow and imports heavy libraries; nothing of that happens before a loader is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from retrieval.errors import EmbedderUnavailable

if TYPE_CHECKING:
    from retrieval.picture_classifiers.protocol import PictureClassifier
    from retrieval.settings import PictureClassifierSettings


def _nudenet(settings: PictureClassifierSettings) -> PictureClassifier:
    from retrieval.picture_classifiers.nudenet_detector import NudeNet

    return NudeNet.load(settings)


def _onnx(settings: PictureClassifierSettings) -> PictureClassifier:
    from retrieval.picture_classifiers.onnx_model import OnnxClassifier

    return OnnxClassifier.load(settings)


PICTURE_CLASSIFIERS: Mapping[str, Callable[[PictureClassifierSettings], PictureClassifier]] = {
    "nudenet": _nudenet,
    "onnx": _onnx,
}

_PACKAGES = {"nudenet": "nudenet", "onnx": "expunge[embed]"}


def load_picture_classifiers(settings: Sequence[PictureClassifierSettings]) -> list[PictureClassifier]:
    """The classifiers that the settings name; raises `EmbedderUnavailable` if one cannot be loaded."""
    loaded: list[PictureClassifier] = []
    for one in settings:
        try:
            loaded.append(PICTURE_CLASSIFIERS[one.kind](one))
        except ImportError as error:
            mend = f"pip install '{_PACKAGES[one.kind]}'"
            raise EmbedderUnavailable(
                f"The picture classifier '{one.kind}' needs the package '{error.name}': {mend}."
            ) from error
    return loaded
