"""FID and KID against closed forms of normal distributions and plain loops; intervals by the jackknife."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from guardrail.evaluation.images.quality import Rows, frechet, frechet_ratio, jackknife, kernel_distance

RNG = np.random.default_rng(5)
GROUPS_40 = np.arange(40) % 10


def normal(count: int, mean: Rows, spread_DD: Rows) -> Rows:
    """A set whose mean is `mean` and whose covariance is `spread' spread`, both exactly."""
    rows = RNG.standard_normal((count, len(mean)))
    rows -= rows.mean(axis=0)
    whitened = rows @ np.linalg.inv(np.linalg.cholesky(np.cov(rows, rowvar=False)).T)
    return np.asarray(whitened @ spread_DD + mean)


def test_fid_of_normals_with_axes_in_common_is_the_sum_over_the_axes() -> None:
    x = normal(200, np.array([0.0, 1.0, 2.0]), np.diag([1.0, 2.0, 3.0]))
    y = normal(150, np.array([1.0, 1.0, -1.0]), np.diag([2.0, 2.0, 0.5]))
    assert frechet(x, y) == pytest.approx((1 + 0 + 9) + (1 + 0 + 2.5**2), rel=1e-9)
    assert frechet(y, x) == pytest.approx(frechet(x, y))
    assert frechet(x, x) == pytest.approx(0.0, abs=1e-7)


def test_fid_of_any_normals_is_the_published_formula() -> None:
    one, two = RNG.standard_normal((4, 4)), RNG.standard_normal((4, 4))
    x, y = normal(100, np.zeros(4), one), normal(120, np.ones(4), two)
    product = np.linalg.eigvals((one.T @ one) @ (two.T @ two))
    shared = float(np.sqrt(product.astype(complex)).sum().real)
    assert frechet(x, y) == pytest.approx(4 + np.trace(one.T @ one) + np.trace(two.T @ two) - 2 * shared, rel=1e-6)


def test_fid_of_fewer_pictures_than_features_is_a_number() -> None:
    x, y = RNG.standard_normal((5, 32)), RNG.standard_normal((6, 32))
    assert 0 < frechet(x, y) < 200


def test_kid_is_the_mean_over_pairs_of_different_pictures() -> None:
    x, y = RNG.standard_normal((5, 3)), RNG.standard_normal((4, 3)) + 1

    def kernel(a: Rows, b: Rows) -> float:
        return float((a @ b / 3 + 1) ** 3)

    within_x = np.mean([kernel(a, b) for a, b in itertools.permutations(x, 2)])
    within_y = np.mean([kernel(a, b) for a, b in itertools.permutations(y, 2)])
    between = np.mean([kernel(a, b) for a in x for b in y])
    assert kernel_distance(x, y) == pytest.approx(within_x + within_y - 2 * between)


def test_kid_of_many_pictures_is_that_of_their_normal_distributions() -> None:
    x, y = RNG.normal(0, 1, (3000, 1)), RNG.normal(1, 1, (3000, 1))
    # E(x) = 0, E(xx) = 1, E(xxx) = 0; of y 1, 2, 4: the kernel compares these moments.
    assert kernel_distance(x, y) == pytest.approx((0 - 4) ** 2 + 3 * (1 - 2) ** 2 + 3 * (0 - 1) ** 2, rel=0.15)
    assert kernel_distance(x[:1500], x[1500:]) == pytest.approx(0, abs=0.6)


def test_kid_of_the_same_distribution_is_as_often_below_nothing() -> None:
    told = [kernel_distance(RNG.standard_normal((30, 2)), RNG.standard_normal((30, 2))) for _ in range(60)]
    assert any(one < 0 for one in told)
    assert abs(np.mean(told)) < 3 * np.std(told) / math.sqrt(len(told))


def test_the_jackknife_of_a_mean_is_the_usual_interval() -> None:
    rows = RNG.standard_normal((10, 1))
    value, limits = jackknife(lambda x: float(x.mean()), [rows], [np.arange(10)])
    half = 2.262 * float(rows.std(ddof=1)) / math.sqrt(10)
    assert limits is not None
    assert limits == pytest.approx((value - half, value + half))


def test_groups_are_left_out_of_all_sets_at_once() -> None:
    x, y = RNG.standard_normal((40, 2)), RNG.standard_normal((40, 2))
    value, limits = jackknife(lambda a, b: float((a - b).mean()), [x, y], [GROUPS_40, GROUPS_40])
    assert limits is not None
    assert limits[0] < value < limits[1]


def test_too_few_prompts_have_no_interval() -> None:
    rows = RNG.standard_normal((8, 2))
    assert jackknife(frechet, [rows, rows + 1], [np.arange(8), np.arange(8)])[1] is None


def test_a_distance_as_a_multiple_of_the_seed_to_seed_distance() -> None:
    x, y, floor = (normal(60, np.array([mean, 0.0]), np.eye(2)) for mean in (3.0, 0.0, 1.0))
    assert frechet_ratio(x, y, floor) == pytest.approx(9.0, rel=1e-6)
