"""Probes on made-up vectors: fields are clouds around directions of their own."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.calibration import score_of
from retrieval.probe import Background, Probe, fit_probe
from retrieval.probe_bank import ProbeBank

DIM = 24
NONE = np.empty((0, DIM), dtype=np.float32)

Rows = NDArray[np.float32]


def cloud(axis: int, count: int, seed: int, *, also: int | None = None, pull: float = 1.2) -> Rows:
    """Unit rows around one axis, or between two."""
    rows = np.random.default_rng([axis, seed]).normal(size=(count, DIM)) / np.sqrt(DIM)
    rows[:, axis] += pull
    if also is not None:
        rows[:, also] += pull
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture(scope="module")
def background() -> Background:
    """Fields on axes 0 to 7, and everyday texts everywhere."""
    fields = [name for axis in range(8) for name in [f"field {axis}"] * 40]
    everyday = np.random.default_rng(9).normal(size=(600, DIM))
    everyday /= np.linalg.norm(everyday, axis=1, keepdims=True)
    rows = np.concatenate([*(cloud(axis, 40, 0) for axis in range(8)), everyday.astype(np.float32)])
    return Background.build(rows, fields + [""] * 600)


def caught(probe: Probe, rows: Rows, rate: float = 0.01) -> float:
    return float((probe.scores(rows) >= score_of(rate)).mean())


def test_a_probe_finds_unseen_texts_of_its_topic_and_leaves_others(background: Background) -> None:
    probe = fit_probe(cloud(12, 20, 1), NONE, background)
    assert caught(probe, cloud(12, 200, 2)) > 0.9
    assert caught(probe, cloud(3, 200, 2)) < 0.02


def test_a_topic_that_is_itself_a_field_of_the_background_is_still_found(background: Background) -> None:
    probe = fit_probe(cloud(5, 20, 1), NONE, background)
    assert [background.fields[k] for k in np.flatnonzero(~probe.others_K)] == ["field 5"]
    assert caught(probe, cloud(5, 200, 2)) > 0.9


def test_five_exemplars_and_a_description_are_enough(background: Background) -> None:
    probe = fit_probe(cloud(12, 5, 1), NONE, background, described_ND=cloud(12, 2, 7))
    assert caught(probe, cloud(12, 200, 2)) > 0.7


def test_a_description_alone_makes_a_probe(background: Background) -> None:
    assert caught(fit_probe(NONE, NONE, background, described_ND=cloud(12, 1, 7)), cloud(12, 200, 2)) > 0.3


def test_nothing_makes_no_probe(background: Background) -> None:
    with pytest.raises(ValueError, match="needs exemplars"):
        fit_probe(NONE, NONE, background)


def test_hard_negatives_keep_what_lies_between_untouched(background: Background) -> None:
    between = cloud(12, 200, 3, also=14)
    plain = fit_probe(cloud(12, 20, 1), NONE, background)
    told = fit_probe(cloud(12, 20, 1), cloud(12, 20, 4, also=14), background)
    assert caught(told, between) < caught(plain, between) / 2
    assert caught(told, cloud(12, 200, 2)) > 0.8


def test_scores_of_benign_texts_are_the_rates_that_they_claim(background: Background) -> None:
    probe = fit_probe(cloud(12, 20, 1), NONE, background)
    fresh = np.random.default_rng(10).normal(size=(20_000, DIM))
    fresh /= np.linalg.norm(fresh, axis=1, keepdims=True)
    assert caught(probe, fresh.astype(np.float32), rate=0.05) < 0.1


def test_a_background_of_one_field_is_refused() -> None:
    with pytest.raises(ValueError, match="two fields"):
        Background.build(cloud(1, 30, 0), ["one"] * 30)


def test_a_background_of_equal_texts_is_refused() -> None:
    with pytest.raises(ValueError, match="all alike"):
        Background.build(np.ones((4, DIM), dtype=np.float32), ["one", "one", "two", "two"])


def test_a_bank_scores_as_its_probes_do(background: Background) -> None:
    probes = {str(axis): fit_probe(cloud(axis, 20, 1), cloud(axis, 6, 4), background) for axis in (5, 12, 13)}
    bank = ProbeBank(background)
    for entry_id, probe in probes.items():
        bank.put(entry_id, probe)
    rows = cloud(12, 10, 2)
    scores_NP = bank.score_all(rows)
    for place, entry_id in enumerate(bank.entry_ids):
        assert scores_NP[:, place] == pytest.approx(probes[entry_id].scores(rows))


def test_a_bank_names_the_entries_above_a_score_best_first(background: Background) -> None:
    bank = ProbeBank(background)
    for axis in range(10, 20):
        bank.put(str(axis), fit_probe(cloud(axis, 20, 1), NONE, background))
    for hits in bank.above(cloud(12, 20, 2, also=13), 0.2):
        scores = [hit.score for hit in hits]
        assert {"12", "13"} & {hit.entry_id for hit in hits[:2]}
        assert scores == sorted(scores, reverse=True)
        assert min(scores) >= 0.2 - 1e-9


def test_a_removed_probe_is_silent_and_the_others_stay_what_they_were(background: Background) -> None:
    bank = ProbeBank(background)
    for axis in range(8, 24):
        bank.put(str(axis), fit_probe(cloud(axis, 20, 1), NONE, background))
    rows = cloud(20, 5, 2)
    before = bank.score_all(rows)[:, bank.entry_ids.index("20")]
    bank.remove(["8", "15", "nowhere"])
    assert len(bank) == 14
    assert "8" not in bank.entry_ids
    assert bank.score_all(rows)[:, bank.entry_ids.index("20")] == pytest.approx(before)
    assert [hits[0].entry_id for hits in bank.above(rows, 0.3)] == ["20"] * 5


def test_a_newer_probe_takes_the_place_of_the_older(background: Background) -> None:
    bank = ProbeBank(background)
    bank.put("a", fit_probe(cloud(12, 20, 1), NONE, background))
    bank.above(cloud(13, 1, 2), 0.3)
    bank.put("a", fit_probe(cloud(13, 20, 1), NONE, background))
    assert len(bank) == 1
    assert bank.above(cloud(13, 1, 2), 0.3)[0]
    assert not bank.above(cloud(12, 1, 2), 0.3)[0]


def test_an_empty_bank_finds_nothing(background: Background) -> None:
    assert ProbeBank(background).above(cloud(1, 3, 0), 0.1) == [[], [], []]


def test_a_probe_of_another_background_is_refused(background: Background) -> None:
    other = Background.build(np.concatenate([cloud(1, 30, 0), cloud(2, 30, 0)]), ["one"] * 30 + ["two"] * 30)
    with pytest.raises(ValueError, match="another background"):
        ProbeBank(other).put("a", fit_probe(cloud(12, 20, 1), NONE, background))
