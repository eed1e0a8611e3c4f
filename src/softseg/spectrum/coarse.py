"""Approximate eigenvectors of the Laplacian from a coarse space: the first part of the fast route."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import DTypeLike
from scipy.linalg import LinAlgError, cholesky, eigh
from scipy.linalg.lapack import get_lapack_funcs

from softseg.checks import for_kernel
from softseg.errors import ConvergenceError
from softseg.spectrum.lanczos import block_lanczos
from softseg.threads import one_blas_thread

FIRST_SHIFT = 1e-3  # here: below it the inverse loses digits; more is tried where L has lower eigenvalues
LARGEST_SHIFT = 1e6  # of the mass; none is found below it only if L is wrong
_BLOCK = 32
RIDGE = 1e-10  # of the mass matrix, whose columns have unit length; keeps near-dependent columns harmless
_STRIPS = 2  # of the pixels, summed one by one, however many threads there are: the same bytes
_CLOSELY, _ROUGHLY = 1e-6, 0.2  # residuals of the inverted problem, relative; what is refined is as good as after 0.1


def galerkin_eigenpairs(
    laplacian: sp.csr_array, prolongation: sp.csr_array, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rayleigh-Ritz in the span of P: the pairs of smallest magnitude of ``P^T L P x = lambda P^T P x``.

    Returns the values (count,), ascending, and the coefficients X (n, count) of the eigenvectors ``V = P X``, which are
    orthonormal. V is not formed here. P holds the constant vector, so 0 is one of the values and 1 is in the span of V.
    """
    return lowest_pairs(*_in_the_space(laplacian, prolongation), count)


def lowest_pairs(
    stiffness: np.ndarray, mass: np.ndarray, count: int, *, roughly: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Values (count,), ascending, and coefficients X (n, count) of the pairs of smallest magnitude of A x = lambda M x.

    A and M are symmetric (n, n), M positive definite, as long as `RIDGE` is added to its diagonal; ``X^T M X = 1``.
    `roughly`: to be refined, so that their span is what counts, which is there long before the single vectors are; by
    products in single precision.
    """
    mass = mass.copy()
    mass[np.diag_indices(len(mass))] += RIDGE
    with one_blas_thread():
        return _lowest_pairs(stiffness, mass, count, roughly)


def _lowest_pairs(stiffness: np.ndarray, mass: np.ndarray, count: int, roughly: bool) -> tuple[np.ndarray, np.ndarray]:
    shift, inverse = _inverse_factor(stiffness, mass, (np.float32, np.float64) if roughly else (np.float64,))
    sparse_mass, factor = sp.csr_array(mass), torch.from_numpy(inverse)

    def apply(block: np.ndarray) -> np.ndarray:  # C^-1 M C^-T with A + s M = C C^T
        inner = sparse_mass @ (factor.T @ torch.from_numpy(block).to(factor.dtype)).numpy()
        return (factor @ torch.from_numpy(inner).to(factor.dtype)).double().numpy()

    values, vectors = pairs_of_inverse(apply, len(stiffness), count, shift, roughly=roughly)
    coefficients = inverse.T @ vectors
    coefficients /= np.sqrt((coefficients * (sparse_mass @ coefficients)).sum(axis=0))
    strongest = np.abs(coefficients).argmax(axis=0)
    coefficients *= np.sign(coefficients[strongest, np.arange(coefficients.shape[1])])
    return values, coefficients


def pairs_of_inverse(
    apply: Callable[[np.ndarray], np.ndarray], size: int, count: int, shift: float, *, roughly: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Values of A x = lambda M x of smallest magnitude, and the eigenvectors Z of C^-1 M C^-T for x = C^-T z.

    `apply` has the product of (n, b) float64 with that matrix, in which A + shift M = C C^T.
    """
    tolerance = _ROUGHLY if roughly else _CLOSELY
    ritz = block_lanczos(apply, size, min(count, size), block=_BLOCK, tolerance=tolerance)
    values, vectors = 1 / ritz.values - shift, ritz.vectors
    if -values[0] > values[-1]:
        # Values beyond those found may be nearer to zero than the lowest: many repelling regions, as in a mosaic. Rare.
        theta, vectors = eigh(apply(np.eye(size)))
        values = 1 / theta[::-1] - shift
        nearest = np.sort(np.argsort(np.abs(values), kind="stable")[:count])
        values, vectors = values[nearest], vectors[:, ::-1][:, nearest]
    return values, vectors


def _in_the_space(laplacian: sp.csr_array, prolongation: sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """P^T L P and P^T P, dense."""
    from softseg.spectrum.galerkin_kernel import galerkin_kernel  # brings the compiler along

    size, n = prolongation.shape
    operands = [
        for_kernel(part, kind)
        for matrix in (laplacian, prolongation)
        for part, kind in ((matrix.indptr, np.int32), (matrix.indices, np.int32), (matrix.data, np.float64))
    ]
    bounds, add_strip = np.linspace(0, size, _STRIPS + 1).astype(int), galerkin_kernel()

    def strip(first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        stiffness, mass = np.zeros((n, n)), np.zeros((n, n))
        add_strip(*operands, first, last, stiffness, mass)
        return stiffness, mass

    with ThreadPoolExecutor(min(_STRIPS, torch.get_num_threads())) as pool:
        (stiffness, mass), *others = pool.map(strip, bounds[:-1], bounds[1:])
    for more_stiffness, more_mass in others:
        stiffness += more_stiffness
        mass += more_mass
    return stiffness, mass


def _inverse_factor(
    stiffness: np.ndarray, mass: np.ndarray, precisions: Sequence[DTypeLike]
) -> tuple[float, np.ndarray]:
    """s and C^-1 with A + s M = C C^T: products with it run on all threads, triangular solves of few columns do not.

    The condition number, about 1e4, leaves enough digits for an explicit inverse. Where functions of the space depend
    on each other, as in pictures of few colours, only the ridge tells M from a singular matrix, and that needs the
    later, double one of the precisions.
    """
    for precision in precisions:
        shift = FIRST_SHIFT
        while shift < LARGEST_SHIFT:
            try:
                factor = cholesky((stiffness + shift * mass).astype(precision), lower=True, check_finite=False)
            except LinAlgError:
                shift *= 4
            else:
                [invert] = get_lapack_funcs(["trtri"], [factor])
                return shift, np.tril(invert(factor, lower=1)[0])
    raise ConvergenceError("The coarse Laplacian cannot be made positive definite; check it.")
