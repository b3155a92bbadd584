"""Every embedder keeps the protocol's promises, and the derived models keep their model's meaning."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from retrieval.embedders import EMBEDDERS, load_embedder
from retrieval.embedders.protocol import Embedder
from retrieval.embedders.word_hash import WordHashEmbedder
from retrieval.settings import RetrievalSettings

pytestmark = pytest.mark.model

# Derived once a checkout; a fresh folder would cost every run half a minute.
SETTINGS = RetrievalSettings()
TEXTS = [
    "Who is Stephen King?",
    "Tell me about the author Stephen King.",
    "How do I bake sourdough bread at home?",
    "Wer schrieb den Roman Carrie?",
    "",
    "word " * 2_000,
    "\ud800 孔子 \x00",
]


@pytest.fixture(scope="module", params=[*EMBEDDERS, "word-hash"])
def embedder(request: pytest.FixtureRequest) -> Embedder:
    if request.param == "word-hash":
        return WordHashEmbedder()
    return load_embedder(request.param, SETTINGS)


def test_every_text_gets_a_float32_row_of_length_one(embedder: Embedder) -> None:
    rows = embedder.embed(TEXTS)
    assert rows.dtype == np.float32
    assert rows.shape == (len(TEXTS), embedder.dim)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-3)


def test_no_texts_give_no_rows(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, embedder.dim)


def test_a_vector_does_not_depend_on_its_company(embedder: Embedder) -> None:
    together, alone = embedder.embed(TEXTS[:4]), embedder.embed(TEXTS[:1])
    assert np.allclose(together[0], alone[0], atol=1e-5)


def test_it_has_a_fingerprint_and_a_name(embedder: Embedder) -> None:
    assert embedder.name
    assert len(embedder.fingerprint) >= 8


def test_sentences_of_one_meaning_are_nearer_than_others(embedder: Embedder) -> None:
    rows = embedder.embed(TEXTS[:3])
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2


def test_int8_agrees_with_the_exact_encoder() -> None:
    texts = [*TEXTS[:4], "The Shining was filmed by Stanley Kubrick in 1980."]
    exact = load_embedder("sentence-transformers", SETTINGS).embed(texts)
    small = load_embedder("minilm-int8", SETTINGS).embed(texts)
    assert (exact * small).sum(axis=1).min() > 0.98


def test_serving_int8_and_static_needs_no_torch() -> None:
    load_embedder("static", SETTINGS)
    program = (
        "import sys; from pathlib import Path; from retrieval.embedders import load_embedder; "
        "from retrieval.settings import RetrievalSettings; "
        "settings = RetrievalSettings(); "
        "[load_embedder(name, settings).embed(['x']) for name in ('minilm-int8', 'static')]; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'sentence_transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
