"""Chebyshev smoothing of many vectors, compiled: one pass over the rows of the matrix for each step."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from softseg.compiled import kernel


@cache
def step_kernel() -> Callable[..., None]:
    """`_step`, compiled or from the compiler's cache."""
    index, row = np.zeros(1, np.int32), np.zeros(1, np.float32)
    block = np.zeros((1, 1), np.float32)
    return kernel(_step, index, index, row, row, 1.0, 1.0, block, block, block, block)


def _step(
    starts: np.ndarray,
    columns: np.ndarray,
    entries: np.ndarray,
    scale: np.ndarray,
    kept: float,
    gain: float,
    change: np.ndarray,
    following: np.ndarray,
    residual: np.ndarray,
    result: np.ndarray,
) -> None:
    """r <- r - A c; c' = kept c + gain D^-1 r; x <- x + c'.

    Parameters
    ----------
    starts, columns, entries : the (N, N) CSR matrix A, int32, int32 and float32.
    scale : (N,) float32, the diagonal of D^-1.
    change, following, residual, result : (N, k) float32: c, c', r and x. The last three are written.
    """
    width = change.shape[1]
    keep, gained = np.float32(kept), np.float32(gain)
    for i in range(len(starts) - 1):
        for c in range(width):
            following[i, c] = 0
        entry, end = starts[i], starts[i + 1]
        while entry + 4 <= end:  # four at a time, or most of the work would be to load and store the sums
            a, b, d, e = entries[entry], entries[entry + 1], entries[entry + 2], entries[entry + 3]
            i0, i1, i2, i3 = columns[entry], columns[entry + 1], columns[entry + 2], columns[entry + 3]
            for c in range(width):
                following[i, c] += (a * change[i0, c] + b * change[i1, c]) + (d * change[i2, c] + e * change[i3, c])
            entry += 4
        while entry < end:
            a, i0 = entries[entry], columns[entry]
            for c in range(width):
                following[i, c] += a * change[i0, c]
            entry += 1
        weight = gained * scale[i]
        for c in range(width):
            left = residual[i, c] - following[i, c]
            added = keep * change[i, c] + weight * left
            residual[i, c] = left
            following[i, c] = added
            result[i, c] += added
