"""The projection to the simplex, compiled: a block of pixels at a time, layer after layer."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from softseg.compiled import kernel, part

BLOCK = 512  # pixels, which stay in the cache for all rounds


@cache
def simplex_kernel(dtype: np.dtype[Any]) -> Callable[..., None]:
    """`_project` of that type, compiled or from the compiler's cache."""
    plane = np.zeros((1, 1), dtype)
    return kernel(_project, plane, plane, np.zeros((1, 1), np.float32))


def _project(alphas: np.ndarray, rows: np.ndarray, out: np.ndarray) -> None:
    """Write to `out` (K, N) the nearest points of the simplex to (K, N) alphas; `rows` (4, BLOCK) is memory to use."""
    count, size = alphas.shape
    for a in range(0, size, BLOCK):
        b = min(a + BLOCK, size)
        threshold, following, total, above = rows[0, : b - a], rows[1, : b - a], rows[2, : b - a], rows[3, : b - a]
        threshold[:] = -np.inf
        for _ in range(count):
            total[:], above[:] = -1, 0
            for k in range(count):
                _add_above(alphas[k, a:b], threshold, total, above)
            _divide(total, above, threshold, following)
            if not _replace(threshold, following):
                break
        for k in range(count):
            _cut(alphas[k, a:b], threshold, out[k, a:b])


@part
def _add_above(x: np.ndarray, threshold: np.ndarray, total: np.ndarray, above: np.ndarray) -> None:
    for i in range(len(x)):
        inside = x[i] > threshold[i]
        total[i] += x[i] if inside else np.float32(0)
        above[i] += inside


@part
def _divide(total: np.ndarray, above: np.ndarray, threshold: np.ndarray, out: np.ndarray) -> None:
    for i in range(len(out)):  # none above: all are equal, and so large that one less is the same number
        out[i] = total[i] / above[i] if above[i] > 0 else threshold[i]


@part
def _replace(old: np.ndarray, new: np.ndarray) -> bool:
    """Whether any value changed."""
    changed = 0
    for i in range(len(old)):
        changed += old[i] != new[i]
        old[i] = new[i]
    return changed > 0


@part
def _cut(x: np.ndarray, threshold: np.ndarray, out: np.ndarray) -> None:
    for i in range(len(x)):
        above = x[i] - threshold[i]
        out[i] = np.float32(0) if above <= 0 else above
