"""Approximate eigenvectors of the Laplacian from a coarse space: the first part of the fast route."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.linalg import LinAlgError, cholesky, eigh
from scipy.linalg.lapack import dtrtri

from softseg.errors import ConvergenceError
from softseg.spectrum.lanczos import block_lanczos

_FIRST_SHIFT = 1e-3
_BLOCK = 32
_RIDGE = 1e-10  # of the mass matrix, whose columns have unit length; keeps near-dependent columns harmless


def galerkin_eigenpairs(
    laplacian: sp.csr_array, prolongation: sp.csr_array, count: int, tolerance: float = 1e-6
) -> tuple[np.ndarray, np.ndarray]:
    """Rayleigh-Ritz in the span of P: the pairs of smallest magnitude of ``P^T L P x = lambda P^T P x``.

    Returns the values (count,), ascending, and the coefficients X (n, count) of the eigenvectors ``V = P X``, which are
    orthonormal. V is not formed here. P holds the constant vector, so 0 is one of the values and 1 is in the span of V.
    `tolerance` is relative, of the residuals of the inverted problem.
    """
    stiffness = (prolongation.T @ (laplacian @ prolongation)).toarray()
    mass = sp.csr_array(prolongation.T @ prolongation)
    mass = sp.csr_array(mass + _RIDGE * sp.eye_array(mass.shape[0]))
    shift, inverse = _inverse_factor(stiffness, mass)

    def apply(block: np.ndarray) -> np.ndarray:  # C^-1 M C^-T with A + s M = C C^T
        return np.asarray(inverse @ (mass @ (inverse.T @ block)))

    ritz = block_lanczos(apply, len(stiffness), min(count, len(stiffness)), block=_BLOCK, tolerance=tolerance)
    values, vectors = 1 / ritz.values - shift, ritz.vectors
    if -values[0] > values[-1]:
        # Values beyond those found may be nearer to zero than the lowest: many repelling regions, as in a mosaic. Rare.
        theta, vectors = eigh(apply(np.eye(len(stiffness))))
        values = 1 / theta[::-1] - shift
        nearest = np.sort(np.argsort(np.abs(values), kind="stable")[:count])
        values, vectors = values[nearest], vectors[:, ::-1][:, nearest]
    coefficients = inverse.T @ vectors
    coefficients /= np.sqrt((coefficients * (mass @ coefficients)).sum(axis=0))
    strongest = np.abs(coefficients).argmax(axis=0)
    coefficients *= np.sign(coefficients[strongest, np.arange(coefficients.shape[1])])
    return values, coefficients


def _inverse_factor(stiffness: np.ndarray, mass: sp.csr_array) -> tuple[float, np.ndarray]:
    """s and C^-1 with A + s M = C C^T: products with it run on all threads, triangular solves of few columns do not.

    The condition number, about 1e4, leaves enough digits for an explicit inverse.
    """
    shift = _FIRST_SHIFT
    while shift < 1e6:
        try:
            factor = cholesky(stiffness + shift * mass.toarray(), lower=True, check_finite=False)
        except LinAlgError:
            shift *= 4
        else:
            return shift, np.tril(dtrtri(factor, lower=1)[0])
    raise ConvergenceError("The coarse Laplacian cannot be made positive definite; check it.")
