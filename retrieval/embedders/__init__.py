"""How meaning is compared: one file an embedder, and the table of their names.

Loading is slow and imports heavy libraries; nothing of that happens before a loader is called.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from retrieval.errors import EmbedderUnavailable

if TYPE_CHECKING:
    from retrieval.embedders.protocol import Embedder
    from retrieval.settings import RetrievalSettings


def _minilm_int8(settings: RetrievalSettings) -> Embedder:
    from retrieval.embedders.minilm_int8 import MiniLmInt8

    return MiniLmInt8.load(settings.embedder_model, cache_dir=settings.cache_dir, threads=settings.embed_threads)


def _sentence_transformers(settings: RetrievalSettings) -> Embedder:
    from retrieval.embedders.sentence_transformer import SentenceTransformerEmbedder

    return SentenceTransformerEmbedder.load(settings.embedder_model)


def _static(settings: RetrievalSettings) -> Embedder:
    from retrieval.embedders.static import StaticEmbedder

    return StaticEmbedder.load(settings.embedder_model, cache_dir=settings.cache_dir)


EMBEDDERS: Mapping[str, Callable[[RetrievalSettings], Embedder]] = {
    "minilm-int8": _minilm_int8,
    "sentence-transformers": _sentence_transformers,
    "static": _static,
}

# A first tier is distilled from the encoder it stands before. Other models of sentence-transformers may speak languages
# that a table of MiniLM's tokens does not, and would lose what only they can find.
FIRST_TIERS: Mapping[str, str] = {"minilm-int8": "static"}


def load_embedder(name: str, settings: RetrievalSettings) -> Embedder:
    """Load the embedder of this name; raises `EmbedderUnavailable` if it is unknown or cannot be loaded."""
    loader = EMBEDDERS.get(name)
    if loader is None:
        near = difflib.get_close_matches(name, EMBEDDERS, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise EmbedderUnavailable(f"Unknown embedder '{name}'. Known embedders: {', '.join(EMBEDDERS)}.{hint}")
    try:
        return loader(settings)
    except ImportError as error:
        raise EmbedderUnavailable(
            f"The embedder '{name}' needs the package '{error.name}': pip install 'expunge[embed]'."
        ) from error
