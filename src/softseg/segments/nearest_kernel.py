"""The nearest of a few centres for many points, compiled."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from softseg.compiled import kernel


@cache
def nearest_kernel() -> Callable[..., None]:
    """`_nearest`, compiled or from the compiler's cache."""
    points, labels = np.zeros((1, 1)), np.zeros(1, np.int64)
    return kernel(_nearest, points, points, points, labels, points[0])


def _nearest(points: np.ndarray, centers: np.ndarray, spare: np.ndarray, labels: np.ndarray, least: np.ndarray) -> None:
    """labels[i] = argmin_k sum_d (points[i, d] - centers[k, d])^2; the first of equals.

    Parameters
    ----------
    points, centers : (n, D) and (m, D) float64.
    spare : (D + 1, b) float64, overwritten; b points are compared at once, which the processor does side by side.
    labels, least : (n,) int64 and (b,) float64, written.
    """
    n, depth = points.shape
    block = spare.shape[1]
    for first in range(0, n, block):
        count = min(block, n - first)
        for d in range(depth):
            for i in range(count):
                spare[d, i] = points[first + i, d]
        found = labels[first : first + count]
        for i in range(count):
            least[i] = np.inf
        for k in range(len(centers)):
            distance = spare[depth]
            for i in range(count):
                distance[i] = 0
            for d in range(depth):
                center = centers[k, d]
                for i in range(count):
                    distance[i] += (spare[d, i] - center) ** 2
            for i in range(count):
                closer = distance[i] < least[i]
                least[i] = distance[i] if closer else least[i]
                found[i] = k if closer else found[i]
