"""The inverted index over rows: shares of telling words, changes in force at once, and the same as a plain count."""

from __future__ import annotations

import random

import pytest

from retrieval.indexes.terms import TermIndex
from retrieval.text.word_weights import WordWeights, shipped_weights, terms_of

EVEN = WordWeights({}, 100)
WORDS = ["clown", "harbour", "geese", "novel", "maine", "derry", "castle", "rock", "shining", "misery", "carrie"]


def test_a_row_scores_the_share_of_the_texts_weight_that_its_words_hold() -> None:
    index = TermIndex(EVEN)
    index.put("e1", ["geese by the harbour", "a novel of geese and telekinesis"])
    (found,) = index.search("telekinesis novel clown geese", 5)
    assert (found.entry_id, found.row) == ("e1", 1)
    assert found.row_share == pytest.approx(3 / 4)
    assert found.share == pytest.approx(3 / 4)


def test_words_of_several_rows_count_together_once_each() -> None:
    index = TermIndex(EVEN)
    index.put("e1", ["geese geese harbour", "geese novel", "castle"])
    (found,) = index.search("geese novel castle clown", 5)
    assert [found.row_share, found.share] == pytest.approx([2 / 4, 3 / 4])
    assert index.row_shares("geese novel castle clown", "e1").tolist() == pytest.approx([1 / 4, 2 / 4, 1 / 4])


def test_rare_words_tell_more_than_common_ones() -> None:
    weights = shipped_weights()
    assert weights.of("telekinesis") > weights.of("actor") > weights.of("the") > 0
    index = TermIndex(weights)
    index.put("common", ["the actor was in the film"])
    index.put("rare", ["telekinesis"])
    assert [found.entry_id for found in index.search("the actor of telekinesis", 1)] == ["rare"]


def test_plural_endings_and_accents_do_not_matter() -> None:
    assert terms_of("Novels of Séances") == terms_of("novel of seance") == {"novel", "of", "seance"}
    assert terms_of("geese, GEESE, glass") == {"geese", "glass"}


def test_a_text_without_known_words_finds_nothing() -> None:
    index = TermIndex(EVEN)
    assert index.search("anything", 3) == []
    index.put("e1", ["geese"])
    assert index.search("", 3) == []
    assert index.search("bread", 3) == []
    assert index.row_shares("geese", "unknown").tolist() == []


def test_any_sequence_of_changes_leaves_what_a_plain_count_finds() -> None:
    rng = random.Random(7)
    index, plain = TermIndex(EVEN), dict[str, list[str]]()
    for step in range(300):
        name = f"e{rng.randrange(12)}"
        if rng.random() < 0.35:
            index.remove([name])
            plain.pop(name, None)
        else:
            plain[name] = [" ".join(rng.sample(WORDS, 4)) for _ in range(rng.randrange(1, 4))]
            index.put(name, plain[name])
        asked = set(rng.sample(WORDS, 3))
        expected = {
            name: (max(len(asked & set(row.split())) for row in rows), len(asked & set(" ".join(rows).split())))
            for name, rows in plain.items()
        }
        found = {one.entry_id: one for one in index.search(" ".join(asked), 20)}
        assert found.keys() == {name for name, (best, _) in expected.items() if best}, step
        for name, one in found.items():
            assert [one.row_share * 3, one.share * 3] == pytest.approx(list(expected[name]))
        assert len(index) == sum(map(len, plain.values()))
