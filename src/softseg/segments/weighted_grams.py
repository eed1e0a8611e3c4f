"""Weighted Gram matrices V^T diag(w_k) V of many layers: all digits, or nearly all of them in single precision."""

from __future__ import annotations

import torch

_PAIR_BYTES = 1 << 29  # the pairwise products of eigenvector columns are kept when they need no more than this
_CHUNK = 4096  # pixels; their rows of V fit into a processor's cache
# A weight over the smallest one of its layer. Single precision keeps seven digits of a sum, and what is light must be
# seen beside what is heavy: with 1e4, 1e5, 1e6 and 1e7 the first solution was within 4e-5, 2e-4, 8e-4 and 7e-3, and 25,
# 6, 2 and 1 in a hundred weights were heavy (measured: the photo docia and one of BSDS500).
_HEAVY = 1e6


class WeightedGrams:
    """V^T diag(w_k) V for weights w that change while V (s, n) float64 stays.

    The pairwise products of the columns of V are made once: then all layers are one matrix product, at half the work.
    """

    def __init__(self, basis: torch.Tensor) -> None:
        self._basis = basis
        n = basis.shape[1]
        kept = len(basis) * n * (n + 1) * 4 <= _PAIR_BYTES
        self._pairs = _pair_products(basis).T.contiguous() if kept else None
        self._place = _places(n)

    def __call__(self, weights: torch.Tensor) -> torch.Tensor:
        """(m, n, n) float64 for (s, m) weights."""
        n = self._basis.shape[1]
        if self._pairs is not None:
            return (weights.T @ self._pairs)[:, self._place].reshape(-1, n, n)
        grams = self._basis.new_zeros(weights.shape[1], n, n)
        for rows, row_weights in zip(torch.split(self._basis, _CHUNK), torch.split(weights, _CHUNK), strict=True):
            for gram, column in zip(grams, row_weights.T, strict=True):
                gram.addmm_(rows.T, rows * column.unsqueeze(1))
        return grams


class RoughGrams:
    """The same with light pixels in single precision: close enough for a solution that is then refined.

    The weights of one layer span twelve digits, and a pixel of weight 1 may be all that determines a direction. So
    heavy pixels, of which there are few, are summed in double precision, as in `WeightedGrams`.
    """

    def __init__(self, basis: torch.Tensor) -> None:
        self._basis = basis
        self._pairs = _pair_products(basis.float())
        self._place = _places(basis.shape[1])

    @staticmethod
    def fits(pixels: int, n: int) -> bool:
        """Whether the products of columns are few enough to be kept."""
        return pixels * n * (n + 1) * 2 <= _PAIR_BYTES

    def __call__(self, weights: torch.Tensor) -> torch.Tensor:
        """(m, n, n) float64 for (s, m) weights."""
        n = self._basis.shape[1]
        least = weights.amin(0)
        heavy = weights > _HEAVY * least
        # Over the smallest, so that no weight is too large for single precision.
        light = torch.where(heavy, 0.0, weights / least).float()
        packed = (light.T @ self._pairs.T).double() * least.unsqueeze(1)
        grams = packed[:, self._place].reshape(-1, n, n)
        for gram, chosen, column in zip(grams, heavy.T, weights.T, strict=True):
            pixels = chosen.nonzero().squeeze(1)
            rows = self._basis[pixels]
            gram.addmm_(rows.T, rows * column[pixels].unsqueeze(1))
        return grams


def _pair_products(basis: torch.Tensor) -> torch.Tensor:
    """(n (n + 1) / 2, s) products of every two columns, row after row of the upper triangle."""
    columns = basis.T.contiguous()
    pairs = torch.empty(len(columns) * (len(columns) + 1) // 2, len(basis), dtype=basis.dtype)
    last = 0
    for i, column in enumerate(columns):
        first, last = last, last + len(columns) - i
        torch.mul(column, columns[i:], out=pairs[first:last])
    return pairs


def _places(n: int) -> torch.Tensor:
    """(n * n,) where the entries of a symmetric matrix are in its upper triangle, row after row."""
    first, second = torch.triu_indices(n, n)
    places = torch.empty(n, n, dtype=torch.long)
    places[first, second] = places[second, first] = torch.arange(len(first))
    return places.reshape(-1)
