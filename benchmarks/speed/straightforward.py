"""The stages as one would first write them with NumPy and SciPy: what the package's versions are compared with.

Nothing here is slow on purpose. Every step is one call of a library at the size of the photo: windows as one array, a
matrix from triplets, ARPACK with SuperLU, dense and sparse systems put together and solved.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.lib.stride_tricks import sliding_window_view
from scipy.sparse.linalg import cg, eigsh

from softseg.segments.relaxed import gradient_magnitude


def matting_affinity(image: np.ndarray, epsilon: float = 1e-7) -> sp.csr_array:
    """(N, N): Levin et al. 2008, Eq. (12), all windows at once with explicit inverses."""
    h, w, _ = image.shape
    pixels = sliding_window_view(np.arange(h * w).reshape(h, w), (3, 3)).reshape(-1, 9)
    colors = image.reshape(-1, 3)[pixels]  # (windows, 9, 3)
    centered = colors - colors.mean(axis=1, keepdims=True)
    covariance = np.einsum("kac,kad->kcd", centered, centered) / 9
    inverse = np.linalg.inv(covariance + epsilon / 9 * np.eye(3))
    values = (1 + np.einsum("kac,kcd,kbd->kab", centered, inverse, centered, optimize=True)) / 9
    rows, columns = np.repeat(pixels, 9, axis=1).ravel(), np.tile(pixels, 9).ravel()
    return sp.csr_array(sp.coo_array((values.ravel(), (rows, columns)), shape=(h * w, h * w)))


def laplacian(*affinities: sp.csr_array) -> sp.csr_array:
    """diag(W 1) - W, where W is the sum."""
    total = sp.csr_array(sum(affinities[1:], start=affinities[0]))
    return sp.csr_array(sp.diags_array(total.sum(axis=1)) - total)


def eigenvectors(matrix: sp.csr_array, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Those nearest to zero, by ARPACK with the matrix shifted and factorised by SuperLU."""
    values, vectors = eigsh(sp.csc_array(matrix), count, sigma=-1e-3, which="LM")
    order = np.argsort(values)
    return values[order], vectors[:, order]


def constrained_sparsification(
    vectors: np.ndarray, values: np.ndarray, labels: np.ndarray, iterations: int = 40, drop_below: float = 0.1
) -> np.ndarray:
    """(m, N): the last layer eliminated, one dense system of all others in each of the rounds, all pixels."""
    gamma, ones = 0.8, vectors.sum(axis=0)
    alphas = np.array([labels == label for label in np.unique(labels)], dtype=float)
    for iteration in range(1, iterations + 1):
        m, n = len(alphas), len(values)
        to_one = 0.3**gamma * np.maximum(abs(alphas - 1), 1e-10) ** (gamma - 2)
        to_zero = 0.3**gamma * np.maximum(abs(alphas), 1e-10) ** (gamma - 2)
        weights = zip(to_one, to_zero, strict=True)
        grams = [(vectors * (e1 + e0)[:, None]).T @ vectors + np.diag(values) for e1, e0 in weights]
        right = to_one @ vectors
        coefficients = ones[None]
        if m > 1:
            system = np.kron(np.ones((m - 1, m - 1)), grams[-1])
            for k in range(m - 1):
                system[k * n : (k + 1) * n, k * n : (k + 1) * n] += grams[k]
            known = right[:-1] - right[-1] + grams[-1] @ ones
            first = np.linalg.solve(system, known.ravel()).reshape(m - 1, n)
            coefficients = np.vstack([first, ones - first.sum(axis=0)])
        alphas = coefficients @ vectors.T
        if iteration in (iterations // 4 + 1, iterations // 2 + 1, 3 * iterations // 4 + 1):
            alphas = alphas[abs(alphas).max(axis=1) > drop_below]
    return alphas


def relaxed_sparsification(
    layers: np.ndarray, matrix: sp.csr_array, image: np.ndarray, floor: float = 0.001, tolerance: float = 1e-6
) -> np.ndarray:
    """(K, N) before the projection: the NK x NK system put together, and conjugate gradients with its diagonal."""
    count, pixels = layers.shape
    exponent = 0.9 + np.minimum(gradient_magnitude(image), 0.1).ravel()
    start = np.where(layers < 0.1, 0, np.where(layers > 0.9, 1, layers))
    start = start / start.sum(axis=0)
    penalty = 100 * sp.kron(np.ones((count, count)), sp.eye_array(pixels))
    fixed = sp.csr_array(sp.block_diag([matrix] * count) + penalty + sp.eye_array(count * pixels))

    def solve(weights: np.ndarray, right: np.ndarray) -> np.ndarray:
        system = sp.csr_array(fixed + sp.diags_array(weights.ravel()))
        scale = sp.diags_array(1 / system.diagonal())
        found, _ = cg(system, right.ravel() + 100, x0=alphas.ravel(), rtol=tolerance, maxiter=1000, M=scale)
        return np.asarray(found.reshape(count, pixels))

    alphas = start
    for _ in range(20):
        to_zero = np.maximum(abs(alphas), floor) ** (exponent - 2)
        to_one = np.maximum(abs(1 - alphas), floor) ** (exponent - 2)
        alphas = solve(to_zero + to_one, to_one + start)
    return solve(np.zeros_like(alphas), alphas)
