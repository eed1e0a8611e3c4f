"""Sparse Cholesky factorisation of a shifted Laplacian, by the best library that is installed."""

from __future__ import annotations

import importlib.util
from types import TracebackType
from typing import Any

import numpy as np
import scipy.sparse as sp


class NotPositiveDefiniteError(ArithmeticError):
    """The matrix has a pivot that is not positive."""


def library() -> str:
    """Name of the library that will be used: "pardiso" (Intel MKL) where installed, else "superlu" (SciPy)."""
    return "pardiso" if importlib.util.find_spec("pypardiso") else "superlu"


class Factorization:
    """``x = A^-1 b`` for a symmetric positive definite sparse A, factorised once, for many right-hand sides.

    PARDISO's Cholesky with nested dissection needs a tenth of the time of SciPy's SuperLU, which has neither: it is
    only there where MKL does not exist (Arm processors, macOS). Use as a context manager: the factor lives outside
    Python's memory.

    Raises
    ------
    NotPositiveDefiniteError : A is not positive definite; the caller picks a larger shift.
    """

    def __init__(self, matrix: sp.csr_array) -> None:
        self._pardiso: Any = None
        if not (matrix.diagonal() > 0).all():
            raise NotPositiveDefiniteError("a diagonal entry is not positive")
        if library() == "pardiso":
            self._factorize_pardiso(matrix)
        else:
            self._factorize_superlu(matrix)

    def solve(self, right: np.ndarray) -> np.ndarray:
        """(N, b) solution for (N, b) float64 right-hand sides."""
        if self._pardiso is None:
            return np.asarray(self._superlu.solve(np.ascontiguousarray(right)))
        # Not PyPardisoSolver.solve(): it compares the whole matrix with the factorised one at every call.
        return np.asarray(self._pardiso._call_pardiso(self._upper, np.asfortranarray(right, dtype=np.float64)))

    def close(self) -> None:
        """Give back the memory of the factor."""
        if self._pardiso is not None:
            self._pardiso.free_memory(everything=True)
            self._pardiso = None

    def __enter__(self) -> Factorization:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _factorize_pardiso(self, matrix: sp.csr_array) -> None:
        from pypardiso import PyPardisoSolver
        from pypardiso.pardiso_wrapper import PyPardisoError

        self._upper = sp.csr_matrix(sp.triu(matrix, format="csr"))
        self._upper.sort_indices()
        solver = PyPardisoSolver(mtype=2)  # real, symmetric positive definite: the upper triangle is enough
        try:
            solver.factorize(self._upper)
        except PyPardisoError as error:
            solver.free_memory(everything=True)
            if error.value == -4:  # "zero pivot, numerical factorisation or iterative refinement problem"
                raise NotPositiveDefiniteError(str(error)) from error
            raise
        solver.set_phase(33)
        self._pardiso = solver

    def _factorize_superlu(self, matrix: sp.csr_array) -> None:
        from scipy.sparse.linalg import splu

        options = {"SymmetricMode": True}
        try:
            self._superlu = splu(sp.csc_array(matrix), "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
        except RuntimeError as error:  # "Factor is exactly singular"
            raise NotPositiveDefiniteError(str(error)) from error
        # Sylvester: without pivoting, the signs of the pivots are those of the eigenvalues.
        if not (self._superlu.U.diagonal() > 0).all():
            raise NotPositiveDefiniteError("a pivot is not positive")
