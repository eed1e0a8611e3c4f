"""Coarse eigenvectors refined: more of them than wanted are smoothed at every pixel, and the lowest chosen anew."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse as sp
import torch
from scipy.linalg import eigh

from softseg.spectrum.smoothing import Smoother, in_blocks
from softseg.threads import one_blas_thread

_INDEPENDENT = 1e-5  # squared length, over that of the longest
_TOGETHER = 2  # blocks in one product: few enough to leave out most of the lower triangle
_ROWS = 2048  # at a time in sums over pixels, which single precision alone would blur; they fit into the cache


def refine(
    smoother: Smoother,
    prolongation: sp.csr_array,
    coefficients: np.ndarray,
    count: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The `count` lowest eigenpairs in the span of smoothed vectors.

    What a coarse space cannot hold, such as hair and the far end of a shadow, makes the energies of its vectors too
    high, of some more than of others, so that the wrong ones seem to be the lowest. A Chebyshev polynomial ``p`` with
    ``p(0) = 1`` that is small at the upper end of the spectrum takes that energy out, ``V <- p(D^-1 L) V``, D the
    diagonal of L; Rayleigh-Ritz then finds the lowest in the span.

    Parameters
    ----------
    smoother : p(D^-1 L) of the (N, N) Laplacian L of a photo, L 1 = 0; the degree of p at least 1.
    prolongation, coefficients : (N, c) sparse P and (c, k) X of the vectors ``V = P X``, k >= count, of full rank, the
        constant vector in their span.
    count : number of pairs wanted.

    Returns
    -------
    values : (n,) float64, ascending; n = count, or fewer where smoothing made vectors dependent.
    vectors : (N, n) float32, orthonormal to about 1e-5; one of them is exactly constant.

    Notes
    -----
    Source: here; smoothing the vectors of a coarse space is the idea of smoothed aggregation (Vanek et al. 1996).
    Differs from there in: 1. They smooth the basis functions of the space, here its lowest eigenvectors are smoothed,
    which are fewer.
    """
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        blocks = _smoothed(smoother, prolongation, coefficients, pool)
        stiffness, mass = _inner_products(smoother, blocks, pool)
    smoother.spare.release()  # what is made next is as large
    size = coefficients.shape[1]
    values, mix = lowest_in_span(stiffness[:size, :size], mass[:size, :size], count - 1)
    place = int(np.searchsorted(values, 0))
    vectors = _combined(blocks, smoother.inside, np.insert(mix, place, 0.0, axis=1))
    vectors[:, place] = len(vectors) ** -0.5
    return np.insert(values, place, 0.0), vectors


def _smoothed(
    smoother: Smoother, prolongation: sp.csr_array, coefficients: np.ndarray, pool: ThreadPoolExecutor
) -> list[np.ndarray]:
    """Blocks of p(D^-1 L) P X, centred."""
    single = sp.csr_array(prolongation, dtype=np.float32)  # once, not for every block
    columns = in_blocks(coefficients)
    blocks = list(pool.map(lambda block: smoother(smoother.prolonged(single, block)), columns))
    list(pool.map(_center, [block[smoother.inside] for block in blocks]))
    return blocks


def _center(block: np.ndarray) -> None:
    """Take the constant vector, which is a known eigenvector, out of the others."""
    block -= block.mean(axis=0, dtype=np.float64).astype(np.float32)


def _inner_products(
    smoother: Smoother, blocks: list[np.ndarray], pool: ThreadPoolExecutor
) -> tuple[np.ndarray, np.ndarray]:
    """V^T L V and V^T V, in double precision over strips of rows; only their upper triangles of blocks are filled."""
    ends = np.cumsum([block.shape[1] for block in blocks]).tolist()

    def strip(first: int, last: int) -> np.ndarray:
        parts = [block[smoother.inside][first:last] for block in blocks]
        rows, energies = np.hstack(parts), [smoother.energy_rows(block, first, last) for block in blocks]
        found = np.zeros((2, ends[-1], ends[-1]), np.float32)
        for begin in range(0, len(blocks), _TOGETHER):
            some = slice(begin, begin + _TOGETHER)
            start, end = ends[begin] - parts[begin].shape[1], ends[some][-1]
            both = rows[:, :end].T @ np.hstack([*energies[some], *parts[some]])
            found[:, :end, start:end] = both.reshape(end, 2, -1).swapaxes(0, 1)
        return found

    products = np.zeros((2, ends[-1], ends[-1]))
    with one_blas_thread():
        for found in pool.map(lambda rows: strip(*rows), _strips(len(smoother.scale))):
            products += found
    return products[0], products[1]


def lowest_in_span(stiffness: np.ndarray, mass: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Values and coefficients of the pairs of smallest magnitude, in the span of what is independent.

    Of the symmetric (k, k) matrices the upper triangles are read.
    """
    with one_blas_thread():
        lengths, directions = eigh(mass, lower=False)
        kept = lengths > _INDEPENDENT * lengths[-1]  # one direction, the constant, has become rounding
        basis = directions[:, kept] / np.sqrt(lengths[kept])
        values, mix = eigh(basis.T @ (np.triu(stiffness) + np.triu(stiffness, 1).T) @ basis)
        lowest = np.sort(np.argsort(np.abs(values), kind="stable")[:count])
        return values[lowest], basis @ mix[:, lowest]


def _combined(blocks: list[np.ndarray], inside: slice, mix: np.ndarray) -> np.ndarray:
    """(N, n) V X."""
    vectors = np.empty((inside.stop - inside.start, mix.shape[1]), np.float32)
    for first, last in _strips(len(vectors)):
        rows = _side_by_side([block[inside][first:last] for block in blocks])[:, : len(mix)]
        torch.mm(rows, torch.from_numpy(mix).float(), out=torch.from_numpy(vectors[first:last]))
    return vectors


def _strips(pixels: int) -> list[tuple[int, int]]:
    return [(first, min(first + _ROWS, pixels)) for first in range(0, pixels, _ROWS)]


def _side_by_side(parts: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.hstack(parts))
