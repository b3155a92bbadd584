"""How pictures are compared: one file an embedder, and the table of their loaders.

Loading is slow and imports heavy libraries; nothing of that happens before a loader is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from retrieval.errors import EmbedderUnavailable, did_you_mean

if TYPE_CHECKING:
    from retrieval.picture_embedders.protocol import PictureEmbedder
    from retrieval.settings import RetrievalSettings


def _clip(settings: RetrievalSettings) -> PictureEmbedder:
    from retrieval.picture_embedders.clip_folder import ClipFolder

    return ClipFolder.load(settings.picture_embedder_model)


def _small_encoder(settings: RetrievalSettings) -> PictureEmbedder:
    from retrieval.picture_embedders.small_encoder import SmallPictureEncoder

    return SmallPictureEncoder.load(settings.picture_embedder_model)


PICTURE_EMBEDDERS: Mapping[str, Callable[[RetrievalSettings], PictureEmbedder]] = {
    "clip": _clip,
    "small-encoder": _small_encoder,
}


def load_picture_embedder(settings: RetrievalSettings) -> PictureEmbedder | None:
    """What `picture_embedder` names, None for "none"; raises `EmbedderUnavailable` if it cannot be loaded."""
    name = settings.picture_embedder
    if name == "none":
        return None
    load = PICTURE_EMBEDDERS.get(name)
    if load is None:
        hint = did_you_mean(name, PICTURE_EMBEDDERS)
        known = ", ".join(PICTURE_EMBEDDERS)
        raise EmbedderUnavailable(f"Unknown picture embedder '{name}'. Known picture embedders: {known}.{hint}")
    if not settings.picture_embedder_model:
        raise EmbedderUnavailable(
            f"The picture embedder '{name}' needs picture_embedder_model: the folder (for clip also a hub id) of its model."
        )
    try:
        return load(settings)
    except ImportError as error:
        raise EmbedderUnavailable(
            f"The picture embedder '{name}' needs the package '{error.name}': pip install 'expunge[embed]'."
        ) from error
