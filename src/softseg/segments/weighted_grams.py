"""Weighted Gram matrices V^T diag(w_k) V of many layers: all digits, or nearly all of them in single precision."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import torch

_PAIR_BYTES = 1 << 29  # the pairwise products of eigenvector columns are kept when they need no more than this
_CHUNK = 4096  # pixels; their rows of V fit into a processor's cache
# A weight over the smallest one of its layer, with the released floor. Single precision keeps seven digits of a sum,
# and what is light must be seen beside what is heavy: with 1e4, 1e5, 1e6 and 1e7 the first solution was within 4e-5,
# 2e-4, 8e-4 and 7e-3, and 25, 6, 2 and 1 in a hundred weights were heavy (measured: docia and one photo of BSDS500).
_HEAVY = 1e6
_TASKS = 2  # of each pass, for each thread: one that is held up leaves its share to the other


class WeightedGrams:
    """V^T diag(w_k) V for weights w that change while V (s, n) float64 stays.

    The pairwise products of the columns of V are made once: then all layers are one matrix product, at half the work.
    """

    def __init__(self, basis: torch.Tensor) -> None:
        self._basis = basis
        n = basis.shape[1]
        kept = len(basis) * n * (n + 1) * 4 <= _PAIR_BYTES
        self._pairs = _pair_products(basis).T.contiguous() if kept else None
        self._place = _places(n, basis.device)

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

    With the released floor the weights of one layer span twelve digits, and a pixel of weight 1 may be all that
    determines a direction. So heavy pixels, of which there are few, are summed in double precision, as in
    `WeightedGrams`.
    """

    def __init__(self, basis: torch.Tensor) -> None:
        from softseg.segments.grams_kernel import LANES  # brings the compiler along

        self._basis = basis.contiguous().numpy()
        self._single = np.pad(self._basis.astype(np.float32), ((0, 0), (0, LANES)))
        self._panels = _panels(basis.shape[1], LANES)

    def __call__(self, weights: torch.Tensor) -> torch.Tensor:
        """(m, n, n) float64 for (s, m) weights; the same digits for any number of threads."""
        from softseg.segments.grams_kernel import PANEL, grams_kernel, pack_kernel, sums_kernel

        groups = _groups(weights.shape[1])
        layers, n, panels = int(groups[-1].sum()), self._basis.shape[1], self._panels
        # Over the smallest, so that no weight is too large for single precision.
        full, least = weights.contiguous().numpy(), weights.amin(0).numpy()
        packed = np.empty(len(full) * layers, np.float32)
        totals, grams = np.empty((len(panels), layers, PANEL)), np.empty((len(least), n, n))
        pack_kernel()(full, least, _HEAVY, groups, packed)
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            share(pool, sums_kernel(), len(panels), self._single, packed, groups, panels, totals)
            share(pool, grams_kernel(), len(grams), self._basis, full, least, _HEAVY, panels, totals, grams)
        return torch.from_numpy(grams)


def share(pool: ThreadPoolExecutor, kernel: Callable[..., None], count: int, *arguments: Any) -> None:
    """Run a kernel on 0 .. count - 1, in as many parts as there are threads."""
    edges = np.linspace(0, count, min(count, _TASKS * torch.get_num_threads()) + 1).astype(int).tolist()
    for task in [pool.submit(kernel, *arguments, begin, end) for begin, end in pairwise(edges)]:
        task.result()


def _groups(m: int) -> np.ndarray:
    """(g, 2) the first layer and the number of layers, 4, 5 or 6, that are summed together; all of m and a few more."""
    from softseg.segments.grams_kernel import LEAST, MOST

    count = -(-m // MOST)
    edges = np.linspace(0, max(m, LEAST * count), count + 1).astype(np.int64)
    return np.column_stack([edges[:-1], np.diff(edges)])


def _panels(n: int, lanes: int) -> np.ndarray:
    """(P, 2, 2) a column and the first of 8 others, that together are the upper triangle; two in each panel."""
    halves = [(i, j) for i in range(n) for j in range(i, n, lanes)]
    return np.array(halves + halves[: len(halves) % 2]).reshape(-1, 2, 2)


def _pair_products(basis: torch.Tensor) -> torch.Tensor:
    """(n (n + 1) / 2, s) products of every two columns, row after row of the upper triangle."""
    columns = basis.T.contiguous()
    pairs = basis.new_empty(len(columns) * (len(columns) + 1) // 2, len(basis))
    last = 0
    for i, column in enumerate(columns):
        first, last = last, last + len(columns) - i
        torch.mul(column, columns[i:], out=pairs[first:last])
    return pairs


def _places(n: int, device: torch.device) -> torch.Tensor:
    """(n * n,) where the entries of a symmetric matrix are in its upper triangle, row after row."""
    first, second = torch.triu_indices(n, n, device=device)
    places = torch.empty(n, n, dtype=torch.long, device=device)
    places[first, second] = places[second, first] = torch.arange(len(first), device=device)
    return places.reshape(-1)
