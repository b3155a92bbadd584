"""Topics: which entries get a probe, and that it finds questions of the field and leaves other fields alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.entry import EntryKind
from retrieval.settings import default_cache_dir
from retrieval.topics import Topics

DIM = 16


class FieldEmbedder:
    """Texts by their first letter: every letter is a direction of its own, with a little of the rest."""

    name = "fields"
    dim = DIM
    fingerprint = "fields-1"

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        rows = np.zeros((len(texts), DIM), dtype=np.float32)
        for number, text in enumerate(texts):
            rng = np.random.default_rng(sum(map(ord, text)))
            rows[number] = 0.15 * rng.standard_normal(DIM)
            rows[number, ord(text[:1] or "a") % DIM] += 1.0
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture
def topics(tmp_path: Path) -> Topics:
    return Topics(FieldEmbedder(), cache_dir=tmp_path)  # type: ignore[arg-type] # a sequence is a list here


def put(topics: Topics, entry_id: str, kind: EntryKind, *texts: str, of: str = "exemplar") -> None:
    topics.put(entry_id, kind, [of] * len(texts), FieldEmbedder().embed(list(texts)))


def test_topics_and_hazards_always_have_a_probe_unkinded_entries_from_five_exemplars_on(topics: Topics) -> None:
    put(topics, "topic", EntryKind.TOPIC, "xenon lamp")
    put(topics, "hazard", EntryKind.HAZARD, "xylem", of="description")
    put(topics, "few", EntryKind.CUSTOM, "xenon", "xylem")
    put(topics, "person", EntryKind.PERSON, *(f"xenon {number}" for number in range(9)))
    put(topics, "many", EntryKind.CUSTOM, *(f"xenon {number}" for number in range(5)))
    assert len(topics) == 3
    assert "few" not in topics
    assert "person" not in topics
    put(topics, "many", EntryKind.CUSTOM, "xenon")
    topics.remove(["hazard", "unknown"])
    assert len(topics) == 1


def test_without_topics_nothing_is_embedded_and_nothing_is_found(topics: Topics, tmp_path: Path) -> None:
    assert topics.above(FieldEmbedder().embed(["xenon"]), 0.01) == [[]]
    put(topics, "few", EntryKind.PERSON, "xenon")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.model
def test_a_real_topic_is_told_from_other_fields() -> None:
    from retrieval.embedders import load_embedder
    from retrieval.settings import RetrievalSettings

    embedder = load_embedder("minilm-int8", RetrievalSettings())
    topics = Topics(embedder, cache_dir=default_cache_dir())
    questions = [
        "How deep must a beehive be?",
        "When do honey bees swarm?",
        "What does a queen bee eat?",
        "How is honey taken from the comb?",
        "Which mites kill bee colonies?",
        "How many workers live in one hive?",
    ]
    kinds = ["name", *["exemplar"] * len(questions)]
    topics.put("bees", EntryKind.TOPIC, kinds, embedder.embed(["Tell me about beekeeping.", *questions]))
    asked = ["How do I feed my bees in winter?", "How do I sort a list in Python?", "Who won the war of 1812?"]
    found = topics.above(embedder.embed(asked), 0.002)
    assert [[hit.entry_id for hit in hits] for hits in found] == [["bees"], [], []]
    assert found[0][0].score > 0.998
