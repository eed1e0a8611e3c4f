"""Spectral Matting on dense matrices: slow and obvious."""

from __future__ import annotations

import numpy as np

from tests.reference.constrained import constrained_sparsification_reference
from tests.reference.dense import matting_affinity_reference


def matting_eigenpairs_reference(image: np.ndarray, count: int, epsilon: float = 1e-7) -> tuple[np.ndarray, np.ndarray]:
    """(count,) values and (N, count) vectors of L = D - W, all of it dense."""
    affinity = matting_affinity_reference(image, epsilon)
    values, vectors = np.linalg.eigh(np.diag(affinity.sum(axis=1)) - affinity)
    return values[:count], vectors[:, :count]


def start_coordinates_reference(values: np.ndarray, vectors: np.ndarray, dimensions: int = 20) -> np.ndarray:
    """(N, 20): the eigenvectors after the first, which is constant, each over the root of its eigenvalue."""
    columns = range(1, min(dimensions + 1, len(values)))
    return np.stack([vectors[:, k] / np.sqrt(values[k]) for k in columns], axis=1)


def matting_components_reference(vectors: np.ndarray, labels: np.ndarray, *, iterations: int = 20) -> np.ndarray:
    """(m', N) components from hard labels; without eigenvalues nothing but the sparsity is minimised."""
    nothing = np.zeros(vectors.shape[1])
    return constrained_sparsification_reference(vectors, nothing, labels, iterations=iterations, gamma=0.8)
