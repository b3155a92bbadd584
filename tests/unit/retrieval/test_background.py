"""The shipped background: its shape, and that its vectors are made once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from retrieval.background import BackgroundText, load_texts, load_vectors

if TYPE_CHECKING:
    from retrieval.embedders.protocol import Vectors


class CountingEmbedder:
    """Rows from text lengths; counts the texts that it was asked for."""

    name = "counting"
    dim = 3

    def __init__(self, fingerprint: str = "one") -> None:
        self.fingerprint = fingerprint
        self.embedded = 0

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row a text."""
        self.embedded += len(texts)
        rows = np.array([[len(text), 1.0, 2.0] for text in texts], dtype=np.float32)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


TEXTS = [BackgroundText(field="law", text="Who may sue?"), BackgroundText(field="", text="Good morning")]


def test_the_shipped_texts_are_short_and_different_and_cover_many_fields() -> None:
    texts = load_texts()
    fields = Counter(text.field for text in texts)
    assert len(texts) == len({text.text for text in texts}) > 2_000
    assert max(len(text.text) for text in texts) <= 300
    assert len(fields) > 30
    assert min(fields.values()) >= 5


def test_vectors_are_made_once(tmp_path: Path) -> None:
    embedder = CountingEmbedder()
    first = load_vectors(embedder, TEXTS, cache_dir=tmp_path)
    again = load_vectors(embedder, TEXTS, cache_dir=tmp_path)
    assert embedder.embedded == len(TEXTS)
    assert np.array_equal(first, again)


def test_another_embedder_or_other_texts_get_vectors_of_their_own(tmp_path: Path) -> None:
    load_vectors(CountingEmbedder(), TEXTS, cache_dir=tmp_path)
    other, fewer = CountingEmbedder("two"), CountingEmbedder()
    load_vectors(other, TEXTS, cache_dir=tmp_path)
    load_vectors(fewer, TEXTS[:1], cache_dir=tmp_path)
    assert (other.embedded, fewer.embedded) == (2, 1)


def test_a_broken_cache_file_is_made_anew(tmp_path: Path) -> None:
    load_vectors(CountingEmbedder(), TEXTS, cache_dir=tmp_path)
    for path in (tmp_path / "background").iterdir():
        path.write_bytes(b"broken")
    embedder = CountingEmbedder()
    assert load_vectors(embedder, TEXTS, cache_dir=tmp_path).shape == (2, 3)
    assert embedder.embedded == 2


def test_a_folder_that_cannot_be_written_does_not_stop_the_start(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert load_vectors(CountingEmbedder(), TEXTS, cache_dir=blocked).shape == (2, 3)
