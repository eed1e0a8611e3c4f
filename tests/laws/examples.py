"""Photographs, partitions and matrices that the laws are tried on."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from hypothesis import strategies as st

from softseg.graph import color_affinity, laplacian, matting_affinity, semantic_affinity, superpixels

seeds = st.integers(0, 2**32 - 1)


KINDS = ("noise", "smooth", "blocks", "gray", "levels")


def make_image(kind: str, h: int, w: int, seed: int = 0) -> np.ndarray:
    """(h, w, 3) in [0, 1]."""
    rng = np.random.default_rng(seed)
    noise = rng.random((h, w, 3))
    y, x = np.mgrid[0:h, 0:w] / max(h, w)
    if kind == "smooth":
        phase, frequency = rng.random((2, 3)) * 6
        return 0.5 + 0.45 * np.sin(phase + frequency * (y[..., None] + x[..., None] ** 2)) + 0.01 * noise
    if kind == "blocks":
        return np.kron(rng.random((h // 5 + 1, w // 5 + 1, 3)), np.ones((5, 5, 1)))[:h, :w]
    if kind == "gray":
        return np.repeat(noise[..., :1], 3, axis=2)
    if kind == "levels":
        return np.round(noise * 3) / 3
    return noise


def make_partition(h: int, w: int, count: int, seed: int = 0) -> np.ndarray:
    """(h, w) labels 0..m-1, m <= count: the cells of random points (Voronoi)."""
    y, x = np.mgrid[0:h, 0:w]
    points = np.random.default_rng(seed).random((count, 2)) * (h, w)
    nearest = ((y - points[:, 0, None, None]) ** 2 + (x - points[:, 1, None, None]) ** 2).argmin(axis=0)
    return np.unique(nearest, return_inverse=True)[1].reshape(h, w)


def make_laplacian(image: np.ndarray, features: np.ndarray | None = None) -> sp.csr_array:
    """The whole Laplacian; the features default to the colours, rolled so that they disagree with them."""
    labels = superpixels(image)
    features = np.roll(image, (3, 5, 1), axis=(0, 1, 2)) if features is None else features
    return laplacian(matting_affinity(image), semantic_affinity(features, labels), color_affinity(image, labels))


def graph_laplacian(size: int, edges: list[tuple[int, int]], weights: list[float] | None = None) -> sp.csr_array:
    """L = D - W of a graph with `size` vertices."""
    affinity = np.zeros((size, size))
    for (i, j), weight in zip(edges, weights or [1.0] * len(edges), strict=True):
        affinity[i, j] = affinity[j, i] = weight
    return sp.csr_array(np.diag(affinity.sum(axis=1)) - affinity)


def images(smallest: int = 16, largest: int = 24) -> st.SearchStrategy[np.ndarray]:
    """Photographs of all kinds; a failing one is printed as the call that makes it."""
    sides = st.integers(smallest, largest)
    return st.builds(make_image, st.sampled_from(KINDS), sides, sides, seeds)
