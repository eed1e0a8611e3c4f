"""Relaxed sparsification with the whole NK x NK matrix assembled and solved densely, 21 times: slow and obvious."""

from __future__ import annotations

import numpy as np

# Thirteen-tap prefilter and first derivative (Farid and Simoncelli 2004), to four digits.
_PREFILTER = np.array([0, 7, 71, 374, 1126, 2119, 2605, 2119, 1126, 374, 71, 7, 0]) / 10_000
_DERIVATIVE = np.array([-1, -19, -142, -509, -963, -878, 0, 878, 963, 509, 142, 19, 1]) / 10_000  # times later pixels


def relaxed_sparsification_reference(layers: np.ndarray, laplacian: np.ndarray, image: np.ndarray) -> np.ndarray:
    """(K, N) alphas before the projection to the simplex."""
    count, pixels = layers.shape
    exponent = 0.9 + np.minimum(gradient_magnitude_reference(image), 0.1).ravel()
    start = layers.copy()
    start[layers < 0.1] = 0
    start[layers > 0.9] = 1
    start /= start.sum(axis=0)

    fixed = np.kron(np.eye(count), laplacian) + 100 * np.kron(np.ones((count, count)), np.eye(pixels))
    fixed += np.eye(count * pixels)
    alphas = start
    for _ in range(20):
        u = np.maximum(abs(alphas), 0.01) ** (exponent - 2)
        v = np.maximum(abs(1 - alphas), 0.01) ** (exponent - 2)
        alphas = np.linalg.solve(fixed + np.diag((u + v).ravel()), (v + start + 100).ravel()).reshape(count, pixels)
    return np.linalg.solve(fixed, (alphas + 100).ravel()).reshape(count, pixels)


def gradient_magnitude_reference(image: np.ndarray) -> np.ndarray:
    """(h, w): every pixel's 13 x 13 neighbourhood, borders repeated, weighted by derivative x prefilter."""
    h, w, _ = image.shape
    padded = np.pad(image, ((6, 6), (6, 6), (0, 0)), mode="edge")
    result = np.zeros((h, w))
    for y in range(h):
        for x in range(w):
            patch = padded[y : y + 13, x : x + 13]
            along_y = np.einsum("y,x,yxc->c", _DERIVATIVE, _PREFILTER, patch)
            along_x = np.einsum("y,x,yxc->c", _PREFILTER, _DERIVATIVE, patch)
            result[y, x] = np.sqrt((along_y**2 + along_x**2).sum())
    return result
