"""Coarse eigenvectors refined: more of them than wanted are smoothed at every pixel, and the lowest chosen anew."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from scipy.linalg import eigh
from scipy.sparse.linalg import LinearOperator, eigsh

from softseg.graph.products import to_torch

_AT_ONCE = 48  # columns, at most; their rows of neighbouring pixels stay in the cache
_BYTES = 2**30  # that the columns in the works may take, over all threads
_RANGE = 0.6  # the smoothed part of the spectrum of D^-1 L reaches from its end down to that / max(4, 0.6 steps^2)
# Of the mean diagonal: what no entry of D is below. p grows where D^-1 L is negative: at a superpixel's centroid pixel
# that repels others and hangs on its neighbours by little, as a hot pixel does, its diagonal alone may be near zero.
_LEAST_DIAGONAL = 0.25
_INDEPENDENT = 1e-5  # squared length, over that of the longest
_MARGIN = 1.05  # on the largest eigenvalue, which is approached from below
_ROWS = 8192  # at a time in sums over pixels, which single precision alone would blur


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
    values : (n,) float64, ascending; n = count, or fewer where smoothing made vectors dependent.
    vectors : (N, n) float32, orthonormal to about 1e-5; one of them is exactly constant.

    Notes
    -----
    Source: here; smoothing the vectors of a coarse space is the idea of smoothed aggregation (Vanek et al. 1996).
    """
    smoother = _Smoother.of(laplacian, steps)
    threads = torch.get_num_threads()
    width = int(np.clip(_BYTES // (threads * 16 * len(vectors)), 8, _AT_ONCE))

    def work(first: int) -> None:
        columns = vectors[:, first : first + width]
        columns[...] = smoother(np.ascontiguousarray(columns))

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, first) for first in range(0, vectors.shape[1], width)]:
            done.result()
    return _rayleigh_ritz(to_torch(smoother.matrix), torch.from_numpy(vectors), count)


@dataclass(frozen=True)
class _Smoother:
    """p(D^-1 L) V: the Chebyshev iteration for L V = 0 started from V, which leaves what is smooth as it is."""

    matrix: sp.csr_array  # L, float32, with indices of 32 bits
    scale: np.ndarray  # (N,) float32, the diagonal of D^-1
    largest: float  # eigenvalue of D^-1 L, or a little more
    steps: int
    step: Callable[..., None]  # the kernel

    @classmethod
    def of(cls, laplacian: sp.csr_array, steps: int) -> _Smoother:
        from softseg.spectrum.smoothing_kernel import step_kernel  # brings the compiler along

        parts = laplacian.data.astype(np.float32), laplacian.indices.astype(np.int32), laplacian.indptr.astype(np.int32)
        matrix = sp.csr_array(parts, shape=laplacian.shape)
        diagonal = laplacian.diagonal()
        scale = (1 / np.maximum(diagonal, _LEAST_DIAGONAL * diagonal.mean())).astype(np.float32)
        return cls(matrix, scale, _largest_eigenvalue(matrix, scale), steps, step_kernel())

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """(N, b) float32 smoothed; the memory of `vectors` is used."""
        csr = self.matrix.indptr, self.matrix.indices, self.matrix.data
        smallest = self.largest / max(4.0, _RANGE * self.steps**2)
        center, radius = (self.largest + smallest) / 2, (self.largest - smallest) / 2
        ratio, kept, gain = radius / center, 0.0, 1 / center
        change, result, residual = vectors, vectors.copy(), np.zeros_like(vectors)
        following = np.empty_like(vectors)
        for _ in range(self.steps):
            # The first step takes A V off a residual of zero; its change is the correction of V, not of V once more.
            self.step(*csr, self.scale, kept, gain, change, following, residual, result)
            change, following = following, change
            next_ratio = 1 / (2 * center / radius - ratio)
            kept, gain, ratio = next_ratio * ratio, 2 * next_ratio / radius, next_ratio
        return result


def _largest_eigenvalue(matrix: sp.csr_array, scale: np.ndarray) -> float:
    """Upper end of the spectrum of D^-1 L, which is that of the symmetric D^-1/2 L D^-1/2."""
    root = np.sqrt(scale)
    symmetric = LinearOperator(matrix.shape, lambda x: root * (matrix @ (root * x.reshape(-1))), dtype=np.float32)
    start = np.random.default_rng(0).standard_normal(len(scale)).astype(np.float32)
    [largest] = eigsh(symmetric, 1, which="LA", v0=start, tol=1e-2, return_eigenvectors=False)
    return _MARGIN * float(largest)


def _rayleigh_ritz(matrix: torch.Tensor, vectors: torch.Tensor, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest pairs in the span of V, the constant one, which is known, set apart."""
    vectors -= vectors.mean(0, dtype=torch.float64).float()
    products = [_inner(vectors, matrix @ part.contiguous()) for part in torch.split(vectors, _AT_ONCE, dim=1)]
    stiffness = np.hstack(products)
    lengths, directions = eigh(_inner(vectors, vectors))
    kept = lengths > _INDEPENDENT * lengths[-1]  # one direction, the constant, has become rounding
    basis = directions[:, kept] / np.sqrt(lengths[kept])
    values, mix = eigh(basis.T @ (stiffness + stiffness.T) @ basis / 2)
    lowest = np.sort(np.argsort(np.abs(values), kind="stable")[: count - 1])
    values, mix = values[lowest], basis @ mix[:, lowest]
    place = int(np.searchsorted(values, 0))
    with_constant = np.insert(mix, place, 0.0, axis=1)
    found = (vectors @ torch.from_numpy(with_constant).float()).numpy()
    found[:, place] = len(vectors) ** -0.5
    return np.insert(values, place, 0.0), found


def _inner(left: torch.Tensor, right: torch.Tensor) -> np.ndarray:
    """left^T right, in double precision over blocks of rows."""
    total = torch.zeros(left.shape[1], right.shape[1], dtype=torch.float64)
    for a, b in zip(torch.split(left, _ROWS), torch.split(right, _ROWS), strict=True):
        total += (a.T @ b).double()
    return total.numpy()
