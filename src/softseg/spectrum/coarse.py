"""Approximate eigenvectors of the Laplacian from a coarse space: the fast route."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from softseg.errors import ConvergenceError
from softseg.spectrum.lanczos import block_lanczos

_FIRST_SHIFT = 1e-3
_RIDGE = 1e-10  # of the mass matrix, whose columns have unit length; keeps near-dependent columns harmless


def galerkin_eigenpairs(
    laplacian: sp.sparray, prolongation: sp.csr_array, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rayleigh-Ritz in the span of P: the `count` lowest pairs of ``P^T L P x = lambda P^T P x``.

    Returns the values (count,), ascending, and the coefficients X (n, count) of the eigenvectors ``V = P X``, which are
    orthonormal. V is never formed. P holds the constant vector, so 0 is one of the values and 1 is in the span of V.

    The lowest instead of those of smallest magnitude: in the coarse space they are the same unless more than
    `count` values lie below minus the last one, which no photo comes near.
    """
    stiffness = (prolongation.T @ (laplacian @ prolongation)).toarray()
    mass = sp.csr_array(prolongation.T @ prolongation)
    mass = sp.csr_array(mass + _RIDGE * sp.eye_array(mass.shape[0]))
    shift, factor = _cholesky_shifted(stiffness, mass)

    def apply(block: np.ndarray) -> np.ndarray:  # C^-1 M C^-T with (A + s M) = C C^T
        inner = solve_triangular(factor, block, trans="T", lower=True, check_finite=False)
        return solve_triangular(factor, mass @ inner, lower=True, check_finite=False)

    ritz = block_lanczos(apply, len(stiffness), min(count, len(stiffness)), block=16, tolerance=1e-6)
    coefficients = solve_triangular(factor, ritz.vectors, trans="T", lower=True, check_finite=False)
    coefficients /= np.sqrt((coefficients * (mass @ coefficients)).sum(axis=0))
    strongest = np.abs(coefficients).argmax(axis=0)
    coefficients *= np.sign(coefficients[strongest, np.arange(coefficients.shape[1])])
    return 1 / ritz.values - shift, coefficients


def _cholesky_shifted(stiffness: np.ndarray, mass: sp.csr_array) -> tuple[float, np.ndarray]:
    shift = _FIRST_SHIFT
    while True:
        try:
            return shift, cholesky(stiffness + shift * mass.toarray(), lower=True, check_finite=False)
        except LinAlgError:
            shift *= 4
            if shift > 1e6:
                raise ConvergenceError("The coarse Laplacian cannot be made positive definite; check it.") from None
