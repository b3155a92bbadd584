"""The linear algebra of concepts in text states: subspaces, projections, a closed-form map, a frequency filter.

Pure functions of tensors; they know no pipeline and no text. Computed in double precision and given back in the input's.

Shapes: N vectors as rows, D width, K rank. References: Gandikota et al. 2023 (UCE), arXiv:2308.14761, eq. 7, for the map;
Yoon et al. 2024 (SAFREE), arXiv:2410.12761, for projectors and the filter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_RELATIVE_ZERO = 1e-6


def orthonormal(rows_ND: torch.Tensor, *, rank: int | None = None) -> torch.Tensor:
    """An orthonormal basis (K, D) of what the rows span, the strongest directions first; at most `rank` of them."""
    import torch

    basis_KD: torch.Tensor
    _, sizes_K, basis_KD = torch.linalg.svd(rows_ND.double(), full_matrices=False)
    count = int((sizes_K > _RELATIVE_ZERO * sizes_K.max().clamp_min(1e-30)).sum()) if len(sizes_K) else 0
    return basis_KD[: count if rank is None else min(rank, count)]


def projected(rows_ND: torch.Tensor, basis_KD: torch.Tensor) -> torch.Tensor:
    """The part of the rows that lies in the subspace: P v with P = Q Q^T."""
    basis = basis_KD.double()
    return ((rows_ND.double() @ basis.T) @ basis).to(rows_ND)


def without(rows_ND: torch.Tensor, basis_KD: torch.Tensor) -> torch.Tensor:
    """The part of the rows that is orthogonal to the subspace: (I - P) v."""
    return rows_ND - projected(rows_ND, basis_KD)


def apart_from(basis_KD: torch.Tensor, kept_KD: torch.Tensor) -> torch.Tensor:
    """A basis of what is left of a subspace when a kept one is taken out of each of its directions."""
    left_KD = without(basis_KD.double(), kept_KD)
    return orthonormal(left_KD[left_KD.norm(dim=1) > 1e-3])


@dataclass(frozen=True, kw_only=True)
class LowRankMap:
    """h -> h + s L R^T h, with L and R of shape (D, N). Without R, L is the product (D, D), smaller where N > D / 2."""

    left_DN: torch.Tensor
    right_DN: torch.Tensor | None

    def on(self, device: str) -> LowRankMap:
        """The same in the memory of another device."""
        right_DN = None if self.right_DN is None else self.right_DN.to(device)
        return LowRankMap(left_DN=self.left_DN.to(device), right_DN=right_DN)

    def change(self, rows_ND: torch.Tensor) -> torch.Tensor:
        """What the map adds to each row, at strength 1."""
        rows_ND = rows_ND.to(self.left_DN)
        return (rows_ND if self.right_DN is None else rows_ND @ self.right_DN) @ self.left_DN.T


def closed_form_map(
    given_ND: torch.Tensor, wanted_ND: torch.Tensor, kept_MD: torch.Tensor, *, ridge: float
) -> LowRankMap:
    """The linear map that takes given states c to wanted ones c*, and leaves kept states p and the rest as they are.

    It minimises sum |M c - c*|^2 + sum |M p - p|^2 + l |M - I|^2, which gives

        M - I = (C* - C) C^T (C C^T + P P^T + l I)^-1,   l = ridge * mean |x|^2 over X = [C, P].

    Where the states are wider than there are samples it is solved among these: (X X^T + l I)^-1 X = X (X^T X + l I)^-1.
    """
    import torch

    given, samples = given_ND.double(), torch.cat([given_ND, kept_MD]).double()
    amount = max(ridge * float(samples.square().sum(dim=1).mean()), 1e-12)
    is_wide = samples.shape[1] > len(samples)
    gram = samples @ samples.T if is_wide else samples.T @ samples
    gram.diagonal().add_(amount)
    if is_wide:
        unit = torch.eye(len(samples), dtype=gram.dtype, device=gram.device)[:, : len(given)]
        right_DN = samples.T @ torch.linalg.solve(gram, unit)
    else:
        right_DN = torch.linalg.solve(gram, given.T)
    left_DN = (wanted_ND.double() - given).T
    if 2 * left_DN.shape[1] > left_DN.shape[0]:
        return LowRankMap(left_DN=(left_DN @ right_DN.T).float(), right_DN=None)
    return LowRankMap(left_DN=left_DN.float().contiguous(), right_DN=right_DN.float().contiguous())


def weakened_low_frequencies(
    features_BCHW: torch.Tensor, reference_BCHW: torch.Tensor, *, scale: float, radius: int
) -> torch.Tensor:
    """Low frequencies that are stronger in the features than in the reference, scaled down; the others as they are."""
    import torch

    dims = (-2, -1)
    own = torch.fft.fftshift(torch.fft.fftn(features_BCHW.float(), dim=dims), dim=dims)
    other = torch.fft.fftshift(torch.fft.fftn(reference_BCHW.float(), dim=dims), dim=dims)
    height, width = features_BCHW.shape[-2:]
    is_low = torch.zeros(height, width, dtype=torch.bool, device=features_BCHW.device)
    rows = slice(max(0, height // 2 - radius), height // 2 + radius)
    is_low[rows, max(0, width // 2 - radius) : width // 2 + radius] = True
    weaker = torch.where(is_low & (own.abs() > other.abs()), own * scale, own)
    back: torch.Tensor = torch.fft.ifftn(torch.fft.ifftshift(weaker, dim=dims), dim=dims).real
    return back.to(features_BCHW)
