"""The matrices of smoothed functions as their definition has them: every function smoothed for itself, dense."""

from __future__ import annotations

import numpy as np

from tests.reference.smoothing import smooth_reference


def smoothed_matrices_reference(
    laplacian: np.ndarray,
    width: int,
    functions: np.ndarray,
    diagonal: np.ndarray,
    bounds: tuple[float, float],
    steps: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Q^T L Q and Q^T Q with Q = p(D^-1 L') P; L' has the entries of L within 5 x 5 pixels, and rows of sum zero."""
    y, x = np.divmod(np.arange(len(laplacian)), width)
    near = np.maximum(abs(y[:, None] - y), abs(x[:, None] - x)) <= 2
    local = np.where(near & ~np.eye(len(laplacian), dtype=bool), laplacian, 0)
    local -= np.diag(local.sum(axis=1))
    smoothed = smooth_reference(local, diagonal, functions, bounds, steps)
    return smoothed.T @ laplacian @ smoothed, smoothed.T @ smoothed
