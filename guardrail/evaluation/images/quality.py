"""How far apart two sets of pictures are: FID and KID over any features, with intervals. Pure NumPy.

FID is the Fréchet distance of the two normal distributions with the sets' means and covariances,

    |m_x - m_y|^2 + tr(C_x + C_y - 2 (C_x^1/2 C_y C_x^1/2)^1/2)

(Heusel et al. 2017, arXiv:1706.08500; covariances with n - 1); KID the unbiased estimate of the squared maximum mean
discrepancy under the kernel (x'y / D + 1)^3 (Bińkowski et al. 2018, arXiv:1801.01401), which may fall below 0. FID is
biased upwards for few pictures, so only distances of equally many are compared. Intervals: jackknife over ten groups of
prompts (Shao and Wu 1989), as pictures of one prompt are alike. Shapes: N, M pictures, D features; `groups_N`: 0..9 of
each picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Rows: TypeAlias = NDArray[np.floating[Any]]
Groups: TypeAlias = NDArray[np.int64]

GROUPS: Final = 10
_T95: Final = 2.262
"""Student's t with 9 degrees of freedom."""
_DEGREE: Final = 3


def frechet(x_ND: Rows, y_MD: Rows) -> float:
    """FID of two sets of at least two pictures each."""
    x_ND, y_MD = x_ND.astype(np.float64), y_MD.astype(np.float64)
    apart = float(np.sum((x_ND.mean(axis=0) - y_MD.mean(axis=0)) ** 2))
    cov_x_DD, cov_y_DD = _covariance(x_ND), _covariance(y_MD)
    root_DD = _root(cov_x_DD)
    # The trace of a root is the sum of the eigenvalues' roots; tiny negative ones are rounding.
    shared = np.sqrt(np.clip(np.linalg.eigvalsh(root_DD @ cov_y_DD @ root_DD), 0, None)).sum()
    return max(0.0, apart + float(np.trace(cov_x_DD) + np.trace(cov_y_DD)) - 2 * float(shared))


def kernel_distance(x_ND: Rows, y_MD: Rows) -> float:
    """KID of two sets of at least two pictures each."""
    x_ND, y_MD = x_ND.astype(np.float64), y_MD.astype(np.float64)
    n, m = len(x_ND), len(y_MD)
    xx_NN, yy_MM, xy_NM = _kernel(x_ND, x_ND), _kernel(y_MD, y_MD), _kernel(x_ND, y_MD)
    within_x = (xx_NN.sum() - np.trace(xx_NN)) / (n * (n - 1))
    within_y = (yy_MM.sum() - np.trace(yy_MM)) / (m * (m - 1))
    return float(within_x + within_y - 2 * xy_NM.mean())


def frechet_ratio(x_ND: Rows, y_MD: Rows, floor_KD: Rows) -> float:
    """FID of x and y as a multiple of that of `floor_KD` and y; endless where the latter is nothing."""
    least = frechet(floor_KD, y_MD)
    return frechet(x_ND, y_MD) / least if least > 0 else math.inf


def jackknife(
    statistic: Callable[..., float], sets: Sequence[Rows], groups: Sequence[Groups]
) -> tuple[float, tuple[float, float] | None]:
    """A statistic of sets of pictures and its 95 % interval; None where a group more or less is all there is.

    Each set comes with the groups of its pictures; a group is left out of all sets at once.
    """
    value = statistic(*sets)
    without = []
    for number in range(GROUPS):
        kept = [rows[marks != number] for rows, marks in zip(sets, groups, strict=True)]
        if any(len(rows) < 2 for rows in kept) or not any(number in marks for marks in groups):
            return value, None
        without.append(statistic(*kept))
    spread = np.array(without) - np.mean(without)
    half = _T95 * math.sqrt((GROUPS - 1) / GROUPS * float(np.sum(spread**2)))
    return value, (value - half, value + half)


def _covariance(rows_ND: Rows) -> Rows:
    centred_ND = rows_ND - rows_ND.mean(axis=0)
    found: Rows = centred_ND.T @ centred_ND / (len(rows_ND) - 1)
    return found


def _root(matrix_DD: Rows) -> Rows:
    values_D, vectors_DD = np.linalg.eigh(matrix_DD)
    found: Rows = (vectors_DD * np.sqrt(np.clip(values_D, 0, None))) @ vectors_DD.T
    return found


def _kernel(x_ND: Rows, y_MD: Rows) -> Rows:
    found: Rows = (x_ND @ y_MD.T / x_ND.shape[1] + 1) ** _DEGREE
    return found
