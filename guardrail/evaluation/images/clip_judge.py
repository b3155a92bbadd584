"""A judge for any world: a model of the CLIP or SigLIP family sees the values that a suite names, without training.

For every attribute a picture is held against one sentence a value and some that name none; the value of the nearest is
what it shows, "none" where a plain sentence is nearer, and the confidence is the softmax over cosines times 100, CLIP's
own temperature (Radford et al. 2021, arXiv:2103.00020). Between few values it says too readily that one is shown: a rate is
to be read next to the untreated one. Features are its picture embeddings. Shapes: N pictures, V values, P plain sentences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from guardrail.errors import InvalidInput
from guardrail.evaluation.images.judges import NONE, Looked, Seen, Values

if TYPE_CHECKING:
    from PIL.Image import Image

    from guardrail.evaluation.images.quality import Rows
    from retrieval.picture_embedders.protocol import PictureEmbedder, ReadsTexts

_SENTENCES: Final[Mapping[str, str]] = {
    "artist": "a picture in the style of {}",
    "style": "a picture in the style of {}",
    "background": "a picture with a {} background",
}
_SENTENCE: Final = "a picture of {}"
_PLAIN: Final = ("a picture", "a photo", "a picture of something else", "a blank picture")
_SHARPNESS: Final = 100.0


class ClipJudge:
    """See the module. `embedder` reads pictures and texts."""

    name = "clip"

    def __init__(self, embedder: PictureEmbedder, reader: ReadsTexts, values: Values) -> None:
        self.embedder = embedder
        self.fingerprint = embedder.fingerprint
        self._values = values
        self._plain_PD = reader.embed_texts(_PLAIN)
        self._sentences = {
            attribute: reader.embed_texts([_SENTENCES.get(attribute, _SENTENCE).format(value) for value in named])
            for attribute, named in values.items()
        }

    @classmethod
    def load(cls, folder: Path, values: Values) -> Self:
        """Raises `InvalidInput` for a folder that holds no such model."""
        from retrieval.errors import EmbedderUnavailable
        from retrieval.picture_embedders.clip_folder import ClipFolder

        try:
            clip = ClipFolder.load(str(folder))
        except EmbedderUnavailable as error:
            raise InvalidInput(str(error)) from None
        return cls(clip, clip, values)

    def look(self, pictures: Sequence[Image]) -> Looked:
        """See the protocol."""
        import numpy as np

        features_ND = np.asarray(self.embedder.embed(pictures), dtype=np.float32)
        told = {attribute: self._seen(features_ND, attribute) for attribute in self._values}
        seen = tuple({attribute: told[attribute][place] for attribute in told} for place in range(len(features_ND)))
        return Looked(seen=seen, features=features_ND)

    def _seen(self, features_ND: Rows, attribute: str) -> list[Seen]:
        import numpy as np

        named = self._values[attribute]
        nearness_NX = _SHARPNESS * features_ND @ np.concatenate([self._sentences[attribute], self._plain_PD]).T
        odds_NX = np.exp(nearness_NX - nearness_NX.max(axis=1, keepdims=True))
        odds_NX /= odds_NX.sum(axis=1, keepdims=True)
        best_N = odds_NX.argmax(axis=1)
        return [
            Seen(value=named[best] if best < len(named) else NONE, confidence=round(float(odds[best]), 4))
            for odds, best in zip(odds_NX, best_N, strict=True)
        ]
