"""The algebra of likeness, held against slow independent calculations and pictures whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.picture_likeness import (
    FEWEST_OTHERS,
    FEWEST_REFERENCES,
    LINE,
    Likeness,
    _balanced_ridge,
    against_words,
    words_threshold,
)

Rows = NDArray[np.float32]
DIM = 24


def pictures(count: int, seed: int, *, concept: float = 0.0, share: float = 1.0) -> Rows:
    """Unit rows: chance in every dimension, and `concept` along the first one for a share of them."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, DIM))
    rows[: round(count * share), 0] += concept
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def slow_ridge(references: Rows, others: Rows, ridge: float) -> tuple[NDArray[np.float64], float]:
    """The weighted least squares problem written out, with the intercept as a column that is not damped."""
    rows = np.concatenate([references, others]).astype(np.float64)
    weights = np.r_[np.full(len(references), 0.5 / len(references)), np.full(len(others), 0.5 / len(others))]
    wanted = np.r_[np.ones(len(references)), -np.ones(len(others))]
    mean = weights @ rows
    variance = float((weights @ (rows - mean) ** 2).sum()) / rows.shape[1]
    design = np.c_[rows, np.ones(len(rows))]
    damping = np.diag(np.r_[np.full(rows.shape[1], ridge * variance), 0.0])
    solved = np.linalg.solve(design.T @ (design * weights[:, None]) + damping, design.T @ (weights * wanted))
    return solved[:-1], float(solved[-1])


@pytest.mark.parametrize("count", [40, 10])  # more and fewer pictures than dimensions
def test_the_direction_solves_the_written_problem(count: int) -> None:
    references, others = pictures(6, 1, concept=3), pictures(count, 2)
    for (direction, bias, _), ridge in zip(_balanced_ridge(references, others), (0.1, 1.0), strict=True):
        slow, slow_bias = slow_ridge(references, others, ridge)
        np.testing.assert_allclose(direction, slow, atol=1e-6)
        assert bias == pytest.approx(slow_bias, abs=1e-6)


def test_the_left_out_values_are_those_of_fits_without_the_picture() -> None:
    """One picture left out with its weight, the other weights and the damping as they are."""
    references, others = pictures(6, 1, concept=3), pictures(30, 2)
    rows = np.concatenate([references, others]).astype(np.float64)
    weights = np.r_[np.full(6, 0.5 / 6), np.full(30, 0.5 / 30)]
    wanted = np.r_[np.ones(6), -np.ones(30)]
    variance = float((weights @ (rows - weights @ rows) ** 2).sum()) / DIM
    design = np.c_[rows, np.ones(36)]
    _, _, left_out = _balanced_ridge(references, others)[0]
    for number in (0, 3, 7, 35):
        kept = np.arange(36) != number
        gram = design[kept].T @ (design[kept] * weights[kept, None]) + np.diag(np.r_[np.full(DIM, 0.1 * variance), 0])
        solved = np.linalg.solve(gram, design[kept].T @ (weights[kept] * wanted[kept]))
        assert left_out[number] == pytest.approx(design[number] @ solved, abs=1e-6)


def test_a_shared_trait_is_found_whatever_else_the_references_show() -> None:
    fitted = Likeness.fit(pictures(12, 1, concept=6), pictures(200, 2), default=0.9)
    assert fitted.reading == "contrast"
    assert (fitted.scores(pictures(400, 3, concept=6)) >= LINE).mean() > 0.9
    assert (fitted.scores(pictures(400, 4)) >= LINE).mean() < 0.05


def test_ordinary_pictures_that_show_the_entry_too_do_no_harm() -> None:
    mixed = pictures(200, 2, concept=6, share=0.25)
    fitted = Likeness.fit(pictures(12, 1, concept=6), mixed, default=0.9)
    assert (fitted.scores(pictures(400, 3, concept=6)) >= LINE).mean() > 0.85
    assert (fitted.scores(pictures(400, 4)) >= LINE).mean() < 0.05


def test_the_very_thing_is_known_by_nearness() -> None:
    """Copies of four faces that have nothing in common but to be near one of them."""
    rng = np.random.default_rng(5)
    faces = pictures(4, 6)

    def copies(count: int) -> Rows:
        rows = np.repeat(faces, count, axis=0) + rng.normal(scale=0.05, size=(4 * count, DIM))
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)

    fitted = Likeness.fit(copies(3), pictures(100, 7), default=0.999)
    assert fitted.reading == "nearest"
    assert fitted.separation > 0
    assert (fitted.scores(copies(20)) >= LINE).all()
    assert not (fitted.scores(pictures(200, 8)) >= LINE).any()


def test_with_too_few_pictures_the_given_cosine_decides() -> None:
    few, many = pictures(FEWEST_REFERENCES - 1, 1), pictures(FEWEST_OTHERS, 2)
    for fitted in (Likeness.fit(few, many, default=0.7), Likeness.fit(many, many[: FEWEST_OTHERS - 1], default=0.7)):
        assert (fitted.reading, fitted.threshold, fitted.separation) == ("nearest", 0.7, 0.0)
    fitted = Likeness.fit(few, many, default=0.7)
    assert fitted.scores(few) == pytest.approx([0.99] * len(few), abs=1e-3)
    middle = few.mean(axis=0, keepdims=True)
    assert (fitted.scores(middle / np.linalg.norm(middle)) > 0.98).all()
    assert fitted.score_of(0.7) == pytest.approx(LINE)


def test_where_no_reading_parts_the_pictures_the_given_cosine_decides() -> None:
    same = pictures(60, 1)
    fitted = Likeness.fit(same[:20], same[20:], default=0.8)
    assert (fitted.threshold, fitted.separation) == (0.8, 0.0)


def test_copies_of_one_picture_can_be_fitted() -> None:
    one = np.repeat(pictures(1, 1), 6, axis=0)
    fitted = Likeness.fit(one, pictures(40, 2), default=0.8)
    assert (fitted.scores(one) >= LINE).all()
    assert np.isfinite(Likeness.fit(one, np.repeat(one, 5, axis=0), default=0.8).scores(one)).all()


def test_words_are_held_against_plain_words() -> None:
    axes = np.eye(4, dtype=np.float32)
    assert against_words(axes[:2], axes[:1], axes[1:2]).tolist() == [1.0, -1.0]
    assert words_threshold(np.full(5, 9.0), least=0.02, most=0.9) == 0.02
    spread = np.arange(101) / 1000
    assert words_threshold(spread, least=0.02, most=0.9) == pytest.approx(0.05 + 4 * 1.4826 * 0.025)
    assert words_threshold(spread, least=0.02, most=0.06) == 0.06
    assert words_threshold(spread - 1, least=0.02, most=0.06) == 0.02
