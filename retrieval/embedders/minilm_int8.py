"""MiniLM (or another BERT-like model with mean pooling) in int8 on ONNX Runtime: the fast embedder on CPUs.

The files are derived once from the model and kept under the data folder; from then on only `onnxruntime`, `tokenizers`
and `numpy` are needed. It does not know entries or batches of requests. Texts are cut at `INT8_MAX_TOKENS` tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from tokenizers import Tokenizer

from retrieval.embedders.model_files import INT8_MAX_TOKENS, int8_folder
from retrieval.text.views import without_surrogates

if TYPE_CHECKING:
    from retrieval.embedders.protocol import Vectors


class MiniLmInt8:
    """See the module."""

    name = "minilm-int8"

    def __init__(self, folder: Path, *, fingerprint: str, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Spinning threads would burn the cores that serve.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        self._session: Any = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(INT8_MAX_TOKENS)
        self.dim = int(self._session.get_outputs()[0].shape[-1])
        self.fingerprint = fingerprint

    @classmethod
    def load(cls, model: str, *, cache_dir: Path, threads: int = 1) -> Self:
        """Find the model, derive its files if they are not there yet, and open them.

        Raises `EmbedderUnavailable`, or `ImportError` where a library is missing.
        """
        folder = int8_folder(model, cache_dir)
        return cls(folder, fingerprint=folder.name, threads=threads)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit row a text.

        Each text runs alone: int8 scales are taken over a whole run, so texts that share one would change each other's
        vectors, and a decision near its threshold would depend on who else asked.
        """
        rows = np.empty((len(texts), self.dim), dtype=np.float32)
        for number, text in enumerate(texts):
            ids = np.array([self._tokenizer.encode(without_surrogates(text)).ids], dtype=np.int64)
            feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
            rows[number] = self._session.run(None, feed)[0][0]
        return rows
