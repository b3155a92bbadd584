"""A model-free embedder for tests and dry runs: every word is a fixed random direction.

Texts with the same words are near, others are not; it knows no meaning at all and is in no settings table on purpose.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from retrieval.text.views import normalise

if TYPE_CHECKING:
    from retrieval.embedders.protocol import Vectors


class WordHashEmbedder:
    """See the module. `embedded` counts texts, `calls` counts calls."""

    name = "word-hash"

    def __init__(self, dim: int = 64) -> None:
        self.dim = dim
        self.fingerprint = f"word-hash-1-{dim}"
        self.embedded = 0
        self.calls = 0

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit row a text."""
        self.calls += 1
        self.embedded += len(texts)
        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        for number, text in enumerate(texts):
            for word in normalise(text).words or ("",):
                rows[number] += self._direction(word)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """The same as `embed`: words have one side."""
        return self.embed(texts)

    def _direction(self, word: str) -> Vectors:
        seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")
        return np.random.default_rng(seed).standard_normal(self.dim, dtype=np.float32)
