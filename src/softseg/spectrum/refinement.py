"""Coarse eigenvectors refined: more of them than wanted are smoothed at every pixel, and the lowest chosen anew."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from scipy.linalg import eigh

from softseg.graph.products import to_torch

_AT_ONCE = 48  # columns; their rows of neighbouring pixels stay in the cache
_RANGE = 0.6  # the smoothed part of the spectrum of D^-1 L reaches from its largest value down to that / (0.6 steps^2)
_LEAST_DIAGONAL = 1e-2  # of the mean one; repulsion alone could make an entry of the diagonal negative
_INDEPENDENT = 1e-6  # squared length, over that of the longest
_POWER_STEPS = 20
_MARGIN = 1.1  # on the largest eigenvalue, which power iterations approach from below


def refine(laplacian: sp.csr_array, vectors: np.ndarray, count: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` lowest eigenpairs in the span of smoothed vectors.

    What a coarse space cannot hold, such as hair and the far end of a shadow, makes the energies of its vectors too
    high, of some more than of others, so that the wrong ones seem to be the lowest. A Chebyshev polynomial ``p`` with
    ``p(0) = 1`` that is small at the upper end of the spectrum takes that energy out, ``V <- p(D^-1 L) V``, D the
    diagonal of L; Rayleigh-Ritz then finds the lowest in the span.

    Parameters
    ----------
    laplacian : (N, N) sparse, L 1 = 0.
    vectors : (N, k) float32, k >= count, of full rank, the constant vector in their span; overwritten.
    count : number of pairs wanted.
    steps : degree of p, at least 1; as many products with L.

    Returns
    -------
    values : (count,) float64, ascending.
    vectors : (N, count) float32, orthonormal to about 1e-5; one of them is exactly constant.

    Notes
    -----
    Source: here; smoothing the vectors of a coarse space is the idea of smoothed aggregation (Vanek et al. 1996).
    """
    smoother = _Smoother.of(laplacian, steps)

    def work(first: int) -> None:
        columns = vectors[:, first : first + _AT_ONCE]
        columns[...] = smoother(np.ascontiguousarray(columns))

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for done in [pool.submit(work, first) for first in range(0, vectors.shape[1], _AT_ONCE)]:
            done.result()
    return _rayleigh_ritz(to_torch(smoother.matrix), torch.from_numpy(vectors), count)


@dataclass(frozen=True)
class _Smoother:
    """p(D^-1 L) V: the Chebyshev iteration for L V = 0 started from V, which leaves what is smooth as it is."""

    matrix: sp.csr_array  # L, float32, with indices of 32 bits
    scale: np.ndarray  # (N,) float32, the diagonal of D^-1
    largest: float  # eigenvalue of D^-1 L, or a little more
    steps: int

    @classmethod
    def of(cls, laplacian: sp.csr_array, steps: int) -> _Smoother:
        parts = laplacian.data.astype(np.float32), laplacian.indices.astype(np.int32), laplacian.indptr.astype(np.int32)
        matrix = sp.csr_array(parts, shape=laplacian.shape)
        diagonal = laplacian.diagonal()
        scale = (1 / np.maximum(diagonal, _LEAST_DIAGONAL * diagonal.mean())).astype(np.float32)
        return cls(matrix, scale, _largest_eigenvalue(matrix, scale), steps)

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """(N, b) float32 smoothed; the memory of `vectors` is used."""
        from softseg.spectrum.smoothing_kernel import step_kernel  # brings the compiler along

        step, csr = step_kernel(), (self.matrix.indptr, self.matrix.indices, self.matrix.data)
        smallest = self.largest / max(4.0, _RANGE * self.steps**2)
        center, radius = (self.largest + smallest) / 2, (self.largest - smallest) / 2
        ratio, kept, gain = radius / center, 0.0, 1 / center
        change, result, residual = vectors, vectors.copy(), np.zeros_like(vectors)
        following = np.empty_like(vectors)
        for _ in range(self.steps):
            # The first step takes A V off a residual of zero; its change is the correction of V, not of V once more.
            step(*csr, self.scale, kept, gain, change, following, residual, result)
            change, following = following, change
            next_ratio = 1 / (2 * center / radius - ratio)
            kept, gain, ratio = next_ratio * ratio, 2 * next_ratio / radius, next_ratio
        return result


def _largest_eigenvalue(matrix: sp.csr_array, scale: np.ndarray) -> float:
    """Upper end of the spectrum of D^-1 L, by power iterations."""
    vector = np.random.default_rng(0).standard_normal(len(scale)).astype(np.float32)
    for _ in range(_POWER_STEPS):
        vector = scale * (matrix @ (vector / np.linalg.norm(vector)))
    return _MARGIN * float(np.linalg.norm(vector))


def _rayleigh_ritz(matrix: torch.Tensor, vectors: torch.Tensor, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest pairs in the span of V, the constant one, which is known, set apart."""
    vectors -= vectors.mean(0)
    mass = (vectors.T @ vectors).double().numpy()
    products = [vectors.T @ (matrix @ part.contiguous()) for part in torch.split(vectors, _AT_ONCE, dim=1)]
    stiffness = torch.cat(products, 1).double().numpy()
    lengths, directions = eigh(mass)
    kept = lengths > _INDEPENDENT * lengths[-1]  # one direction, the constant, has become rounding
    basis = directions[:, kept] / np.sqrt(lengths[kept])
    values, mix = eigh(basis.T @ (stiffness + stiffness.T) @ basis / 2)
    lowest = np.sort(np.argsort(np.abs(values), kind="stable")[: count - 1])
    values, mix = values[lowest], basis @ mix[:, lowest]
    place = int(np.searchsorted(values, 0))
    found = np.empty((len(vectors), len(values) + 1), np.float32)
    found[:, :place] = (vectors @ torch.from_numpy(mix[:, :place]).float()).numpy()
    found[:, place] = len(vectors) ** -0.5
    found[:, place + 1 :] = (vectors @ torch.from_numpy(mix[:, place:]).float()).numpy()
    return np.insert(values, place, 0.0), found
