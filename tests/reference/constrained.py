"""Constrained sparsification, the last layer eliminated and one dense system for the others: slow and obvious."""

from __future__ import annotations

import numpy as np


def constrained_sparsification_reference(
    vectors: np.ndarray,
    values: np.ndarray,
    labels: np.ndarray,
    *,
    iterations: int = 40,
    gamma: float = 0.8,
    weight: float = 0.3,
    drop_below: float = 0.1,
    floor: float = 1e-10,
    first_floor: float | None = None,
) -> np.ndarray:
    """(m', N) soft segments; the span of the (N, n) vectors must hold the constant one."""
    ones = vectors.T @ np.ones(len(vectors))
    alphas = np.array([labels == label for label in np.unique(labels)], dtype=float)  # (m, N)
    first = floor if first_floor is None else first_floor
    floors = [first] if iterations == 1 else np.geomspace(first, floor, iterations)
    for iteration in range(1, iterations + 1):
        least = floors[iteration - 1]
        to_one = weight**gamma * np.maximum(abs(alphas - 1), least) ** (gamma - 2)
        to_zero = weight**gamma * np.maximum(abs(alphas), least) ** (gamma - 2)
        alphas = _minimise(vectors, values, to_one, to_zero, ones) @ vectors.T
        if iteration in (iterations // 4 + 1, iterations // 2 + 1, 3 * iterations // 4 + 1):
            alphas = alphas[abs(alphas).max(axis=1) > drop_below]
    return alphas


def _minimise(
    vectors: np.ndarray, values: np.ndarray, to_one: np.ndarray, to_zero: np.ndarray, ones: np.ndarray
) -> np.ndarray:
    """(m, n) coefficients of the layers for given weights.

    Minimises ``sum_k sum_p e1 (alpha - 1)^2 + e0 alpha^2 + y_k^T Lambda y_k`` over y_1 .. y_(m-1) with the last layer
    ``y_m = V^T 1 - sum_k y_k``: setting the gradient to zero gives ``A_k y_k - A_m y_m = b_k - b_m`` for every k < m.
    """
    m, n = len(to_one), len(values)
    a = [vectors.T @ np.diag(to_one[k] + to_zero[k]) @ vectors + np.diag(values) for k in range(m)]
    b = [vectors.T @ to_one[k] for k in range(m)]
    if m == 1:
        return ones[None]
    system, right = np.zeros((m - 1, n, m - 1, n)), np.zeros((m - 1, n))
    for k in range(m - 1):
        for other in range(m - 1):
            system[k, :, other] = a[m - 1]
        system[k, :, k] += a[k]
        right[k] = b[k] - b[m - 1] + a[m - 1] @ ones
    first = np.linalg.solve(system.reshape((m - 1) * n, -1), right.ravel()).reshape(m - 1, n)
    return np.vstack([first, ones - first.sum(axis=0)])
