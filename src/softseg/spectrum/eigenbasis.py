"""The eigenvectors as the next stage uses them, whichever route they came by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from softseg.settings import SpectrumSettings
from softseg.spectrum.coarse import galerkin_eigenpairs
from softseg.spectrum.coarse_space import coarse_space
from softseg.spectrum.exact import solve_exactly


@dataclass(frozen=True, eq=False)
class Eigenbasis:
    """Eigenvectors ``V = P X`` of the Laplacian, with orthonormal columns, that need not be formed.

    values : (n,) eigenvalues.
    coefficients : X; (N, n) the eigenvectors themselves on the exact route, (c, n) in the coarse space on the fast one.
    prolongation : P, (N, c) sparse, or None for the identity.
    statistics : how the solver got there, plain numbers.
    """

    values: np.ndarray
    coefficients: np.ndarray
    prolongation: sp.csr_array | None
    statistics: Mapping[str, float | int | str]

    def rows(self, pixels: np.ndarray) -> np.ndarray:
        """(s, n) rows of V at the given pixels."""
        if self.prolongation is None:
            return np.asarray(self.coefficients[pixels])
        return np.asarray(self.prolongation[pixels] @ self.coefficients)

    def expand(self, coefficients: np.ndarray) -> np.ndarray:
        """(N, m) vectors V Y for (n, m) coefficients Y."""
        inner = self.coefficients @ coefficients
        return inner if self.prolongation is None else np.asarray(self.prolongation @ inner)

    def ones(self) -> np.ndarray:
        """(n,) coefficients V^T 1 of the constant vector."""
        if self.prolongation is None:
            return np.asarray(self.coefficients.sum(axis=0))
        return np.asarray(self.coefficients.T @ self.prolongation.sum(axis=0))


def eigenbasis(laplacian: sp.csr_array, image: np.ndarray, settings: SpectrumSettings) -> Eigenbasis:
    """The lowest eigenvectors by the route that `settings.solver` names.

    "exact": all digits, by shift-invert on every pixel. "fast": the best ones in a space of
    `settings.coarse_unknowns` locally colour-affine functions.
    """
    count = min(settings.count, laplacian.shape[0] // 4)
    if settings.solver == "exact":
        pairs = solve_exactly(laplacian, count)
        return Eigenbasis(
            pairs.values,
            pairs.vectors,
            None,
            {"eigenvectors": count, "solves": pairs.solves, "largest_residual": float(pairs.residuals.max())},
        )
    prolongation = coarse_space(image, settings.coarse_unknowns)
    count = min(count, prolongation.shape[1] // 2)
    values, coefficients = galerkin_eigenpairs(laplacian, prolongation, count)
    return Eigenbasis(
        values,
        coefficients,
        prolongation,
        {"eigenvectors": len(values), "coarse_unknowns": prolongation.shape[1]},
    )
