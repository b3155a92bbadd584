"""Static token vectors distilled from an encoder: the first tier, which settles most texts in a tenth of a millisecond.

A text's vector is the mean of its tokens' weighted vectors: no context, no word order. It does not know what a nearness
means; whoever asks it keeps a generous threshold. Needs only `tokenizers` and `numpy` once distilled.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from tokenizers import Tokenizer

from retrieval.embedders.model_files import derived_folder, int8_folder
from retrieval.text.views import without_surrogates

if TYPE_CHECKING:
    from retrieval.embedders.protocol import Vectors

MAX_TOKENS = 512
_SMALLEST = 1e-6


class StaticEmbedder:
    """See the module."""

    name = "static"

    def __init__(self, folder: Path, *, fingerprint: str) -> None:
        self._table_VP = np.load(folder / "vectors.npy")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._unknown = self._tokenizer.token_to_id("[UNK]") or 0
        self.dim = int(self._table_VP.shape[1])
        self.fingerprint = fingerprint

    @classmethod
    def load(cls, model: str, *, cache_dir: Path) -> Self:
        """Find the model, distil it if that has not been done yet; raises `EmbedderUnavailable`."""
        encoder = int8_folder(model, cache_dir)
        fingerprint = f"{encoder.name}-static-2"
        return cls(derived_folder(cache_dir, fingerprint, recipe="static", source=encoder), fingerprint=fingerprint)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit row a text; a text without tokens is an unknown token."""
        rows = np.empty((len(texts), self.dim), dtype=np.float32)
        clean = [without_surrogates(text) for text in texts]
        for number, encoding in enumerate(self._tokenizer.encode_batch_fast(clean, add_special_tokens=False)):
            ids = encoding.ids or [self._unknown]
            rows[number] = self._table_VP[ids].mean(axis=0, dtype=np.float32)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.maximum(lengths, _SMALLEST), dtype=np.float32)
