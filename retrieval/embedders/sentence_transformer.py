"""Any model of the sentence-transformers library: a hub id or a folder, on CPU or GPU.

It does not know entries. PyTorch chooses its own number of threads: that setting is the process's, and a model served
from the same process needs it more.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from retrieval.embedders.model_files import fingerprint_of, locate_model
from retrieval.text.views import without_surrogates

if TYPE_CHECKING:
    from retrieval.embedders.protocol import Vectors

_RECIPE = "sentence-transformers 1"


class SentenceTransformerEmbedder:
    """See the module."""

    name = "sentence-transformers"

    def __init__(self, folder: Path, *, fingerprint: str, query_prefix: str = "", passage_prefix: str = "") -> None:
        from sentence_transformers import SentenceTransformer

        self._query_prefix, self._passage_prefix = query_prefix, passage_prefix
        self._model = SentenceTransformer(str(folder), local_files_only=True)
        self.dim = int(self._model.encode([""], normalize_embeddings=True, show_progress_bar=False).shape[1])
        self.fingerprint = fingerprint

    @classmethod
    def load(cls, model: str, *, query_prefix: str = "", passage_prefix: str = "") -> Self:
        """Find and load the model; raises `EmbedderUnavailable`, or `ImportError` where a library is missing."""
        source = locate_model(model)
        recipe = f"{_RECIPE} {query_prefix}|{passage_prefix}" if query_prefix or passage_prefix else _RECIPE
        fingerprint = fingerprint_of(source, recipe)
        return cls(source, fingerprint=fingerprint, query_prefix=query_prefix, passage_prefix=passage_prefix)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit row a text, as what is searched."""
        return self._encode(texts, self._passage_prefix)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """One unit row a text, as what is asked."""
        return self._encode(texts, self._query_prefix)

    def _encode(self, texts: Sequence[str], prefix: str) -> Vectors:
        if not texts:
            return np.empty((0, self.dim), dtype=np.float32)
        clean = [prefix + without_surrogates(text) for text in texts]
        rows = self._model.encode(clean, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(rows, dtype=np.float32)
