"""Benign text that ships with the product: what ordinary requests look like, and which fields of knowledge there are.

`texts.jsonl` holds a text a line with its field of knowledge ("chemistry", "law", ...), or an empty field for everyday
requests. Its README names sources and licence. Vectors are made once for each embedder and kept in the cache folder,
since a few thousand texts take it some ten seconds. This module does not know probes, thresholds or entries.

    texts = load_texts()
    vectors_ND = load_vectors(embedder, texts, cache_dir=settings.cache_dir)
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrieval.embedders.protocol import Embedder, Vectors

__all__ = ["BackgroundText", "load_texts", "load_vectors"]


@dataclass(frozen=True, kw_only=True, slots=True)
class BackgroundText:
    """A benign text; `field` is empty for everyday requests."""

    field: str
    text: str


def load_texts() -> list[BackgroundText]:
    """All texts, in their order in the file."""
    lines = resources.files(__name__).joinpath("texts.jsonl").read_text(encoding="utf-8").split("\n")
    found = [json.loads(line) for line in lines if line]
    return [BackgroundText(field=line["field"], text=line["text"]) for line in found]


def load_vectors(embedder: Embedder, texts: Sequence[BackgroundText], *, cache_dir: Path) -> Vectors:
    """The texts' unit rows: from the cache folder if they were made before by the same embedder from the same texts.

    A folder that cannot be written costs the time again at the next start, and nothing else.
    """
    import numpy as np

    content = hashlib.blake2b(digest_size=12)
    for text in texts:
        content.update(text.text.encode("utf-8") + b"\0")
    maker = hashlib.blake2b(embedder.fingerprint.encode("utf-8"), digest_size=12).hexdigest()
    path = cache_dir / "background" / f"{maker}-{content.hexdigest()}.npy"
    try:
        vectors: Vectors = np.load(path, allow_pickle=False)
    except (OSError, ValueError):
        pass
    else:
        if vectors.shape == (len(texts), embedder.dim) and vectors.dtype == np.float32:
            return vectors
    vectors = embedder.embed([text.text for text in texts])
    try:
        _write(path, vectors)
    except OSError:
        return vectors
    return vectors


def _write(path: Path, vectors: Vectors) -> None:
    """All or nothing: several processes may write the same file."""
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.save(file, vectors)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
