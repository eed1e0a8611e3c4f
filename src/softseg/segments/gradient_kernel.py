"""The colour gradient, compiled: for every row its neighbours down, then across."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from softseg.compiled import kernel, part


@cache
def gradient_kernel() -> Callable[..., None]:
    """`_gradient`, compiled or from the compiler's cache."""
    taps = np.zeros(1)
    return kernel(_gradient, np.zeros((1, 1, 1)), taps, taps, 0, 1, np.zeros((1, 1)))


def _gradient(
    planes: np.ndarray, prefilter: np.ndarray, derivative: np.ndarray, first: int, last: int, out: np.ndarray
) -> None:
    """Write the rows first..last-1 of the length of the gradient of (C, h, w) planes, by filters of an odd length."""
    channels, height, width = planes.shape
    half = len(prefilter) // 2
    down, across = np.zeros((2, width + 2 * half)), np.zeros((2, width))
    for y in range(first, last):
        out[y] = 0
        for c in range(channels):
            down[:] = 0
            across[:] = 0
            for tap in range(2 * half + 1):
                row = planes[c, min(max(y + tap - half, 0), height - 1)]
                _add_scaled(prefilter[tap], row, down[0, half : half + width])
                _add_scaled(derivative[tap], row, down[1, half : half + width])
            for i in range(2):
                down[i, :half], down[i, half + width :] = down[i, half], down[i, half + width - 1]
            for tap in range(2 * half + 1):
                _add_scaled(derivative[tap], down[0, tap : tap + width], across[0])
                _add_scaled(prefilter[tap], down[1, tap : tap + width], across[1])
            _add_squares(across[0], across[1], out[y])
        _take_root(out[y])


@part
def _add_scaled(factor: float, x: np.ndarray, total: np.ndarray) -> None:
    for i in range(len(total)):
        total[i] += factor * x[i]


@part
def _add_squares(x: np.ndarray, y: np.ndarray, total: np.ndarray) -> None:
    for i in range(len(total)):
        total[i] += x[i] * x[i] + y[i] * y[i]


@part
def _take_root(x: np.ndarray) -> None:
    for i in range(len(x)):
        x[i] = np.sqrt(x[i])
