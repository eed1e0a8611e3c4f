"""Eigenvectors of the Laplacian to rounding error: the reference for every faster route."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.linalg import eigh

from softseg.errors import ConvergenceError, InputError
from softseg.spectrum.factorization import Factorization, NotPositiveDefiniteError
from softseg.spectrum.lanczos import block_lanczos

_DENSE_BELOW = 1500  # vertices; a dense eigensolver is quicker and leaves nothing to converge
_FIRST_SHIFT = 1e-3  # the semantic repulsion makes eigenvalues of about -2e-4
_ACCEPTED_RESIDUAL = 1e-6


@dataclass(frozen=True)
class Eigenpairs:
    """Eigenpairs with the proof of their quality."""

    values: np.ndarray  # (count,), ascending
    vectors: np.ndarray  # (N, count), orthonormal
    residuals: np.ndarray  # (count,) ||L v - lambda v||
    solves: int  # triangular solves taken, in single vectors


def smallest_eigenpairs(laplacian: sp.csr_array, count: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """The eigenpairs of smallest magnitude, ``L v = lambda v``, by shift-invert: exact, and the reference.

    Parameters
    ----------
    laplacian : (N, N) real symmetric sparse matrix; it may be indefinite.
    count : number of pairs, 1 <= count <= N.

    Returns
    -------
    values : (count,) float64 array, ascending (negative ones first).
    vectors : (N, count) float64 array, orthonormal columns, the largest entry of each positive.

    Raises
    ------
    InputError : the matrix is not square and symmetric, or has fewer than `count` rows.
    ConvergenceError : a residual stayed above 1e-6 times the largest diagonal entry (or 1, if that is larger).

    Notes
    -----
    L is indefinite, so it is not factorised itself: ``L + s Id`` is, with s grown until it is positive definite. That
    proves that no eigenvalue lies below -s; the block Lanczos method then finds the lowest ones, and more of them are
    asked for until the smallest magnitudes are certainly among them.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> path = sp.diags_array([[-1.0, -1], [1, 2, 1], [-1, -1]], offsets=[-1, 0, 1])
    >>> smallest_eigenpairs(path, 2)[0].round(6).tolist()
    [0.0, 1.0]
    """
    pairs = solve_exactly(laplacian, count)
    return pairs.values, pairs.vectors


def solve_exactly(laplacian: sp.csr_array, count: int = 100) -> Eigenpairs:
    """Like `smallest_eigenpairs`, with residuals and the work done."""
    matrix = sp.csr_array(laplacian, dtype=np.float64)
    _check(matrix, count)
    values, vectors, solves = _dense(matrix) if matrix.shape[0] <= _DENSE_BELOW else _shift_invert(matrix, count)
    chosen = np.sort(np.argsort(np.abs(values), kind="stable")[:count])
    values, vectors = values[chosen], vectors[:, chosen]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(count)])
    residuals = np.linalg.norm(matrix @ vectors - vectors * values, axis=0)
    if residuals.max() > _ACCEPTED_RESIDUAL * max(1.0, float(np.abs(matrix.diagonal()).max())):
        raise ConvergenceError(
            f"The eigenvectors did not converge: the largest residual is {residuals.max():.1e} after {solves} solves. "
            "Ask for fewer eigenvectors."
        )
    return Eigenpairs(values, vectors, residuals, solves)


def _dense(matrix: sp.csr_array) -> tuple[np.ndarray, np.ndarray, int]:
    values, vectors = eigh(matrix.toarray())
    return values, vectors, 0


def _shift_invert(matrix: sp.csr_array, count: int) -> tuple[np.ndarray, np.ndarray, int]:
    """The algebraically lowest eigenpairs, enough of them to hold the `count` of smallest magnitude."""
    shift, factor = _factorize_shifted(matrix)
    with factor:
        wanted = count
        while True:
            ritz = block_lanczos(factor.solve, matrix.shape[0], wanted, verify=True)
            values = 1 / ritz.values - shift
            largest = np.sort(np.abs(values))[count - 1]
            if largest <= values[-1] or wanted == matrix.shape[0]:  # every unseen eigenvalue is at least values[-1]
                return values, ritz.vectors, ritz.applications
            wanted = min(2 * wanted, matrix.shape[0])


def _factorize_shifted(matrix: sp.csr_array) -> tuple[float, Factorization]:
    identity = sp.eye_array(matrix.shape[0], format="csr")
    shift = _FIRST_SHIFT
    while True:
        try:
            return shift, Factorization(sp.csr_array(matrix + shift * identity))
        except NotPositiveDefiniteError:
            shift *= 4
            if shift > 1e6:
                raise ConvergenceError("No shift up to 1e6 makes the matrix positive definite; check it.") from None


def _check(matrix: sp.csr_array, count: int) -> None:
    rows, columns = matrix.shape
    if rows != columns or not 1 <= count <= rows:
        raise InputError(
            f"{count} eigenpairs were asked for of a {rows} x {columns} matrix; it must be square, "
            "with at least as many rows."
        )
    if not np.isfinite(matrix.data).all():
        raise InputError("The matrix holds NaN or infinite entries.")
    if abs(matrix - matrix.T).max() > 1e-9 * abs(matrix).max():
        raise InputError("The matrix is not symmetric: eigenvectors of a Laplacian need W(i, j) = W(j, i).")
