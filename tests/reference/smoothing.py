"""Chebyshev smoothing as its definition has it: a function of a symmetric matrix, by all of its eigenvalues."""

from __future__ import annotations

import numpy as np
from numpy.polynomial.chebyshev import chebval


def smooth_reference(
    laplacian: np.ndarray, diagonal: np.ndarray, vectors: np.ndarray, bounds: tuple[float, float], steps: int
) -> np.ndarray:
    """p(D^-1 L) V with p(x) = T_n((c - x) / r) / T_n(c / r), c and r the middle and half the width of the bounds."""
    root = np.sqrt(diagonal)
    values, basis = np.linalg.eigh(laplacian / root[:, None] / root)
    center, radius = (bounds[1] + bounds[0]) / 2, (bounds[1] - bounds[0]) / 2
    one = np.eye(steps + 1)[steps]
    factors = chebval((center - values) / radius, one) / chebval(center / radius, one)
    return (basis * factors) @ (basis.T @ (root[:, None] * vectors)) / root[:, None]
