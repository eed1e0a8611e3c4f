"""The eigenvectors as the next stage uses them, whichever route they came by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, overload

import numpy as np
import scipy.sparse as sp
import torch

from softseg.graph.stencil import REACH
from softseg.settings import SpectrumSettings
from softseg.spectrum.coarse import galerkin_eigenpairs, lowest_pairs
from softseg.spectrum.coarse_space import CoarseSpace, coarse_space
from softseg.spectrum.exact import solve_exactly
from softseg.spectrum.on_device.basis import refined_basis
from softseg.spectrum.packing import Packing
from softseg.spectrum.refinement import refine
from softseg.spectrum.smoothed_space import STEPS, smoothed_matrices
from softseg.spectrum.smoothing import Smoother

_LARGEST_REFINED = 2_000_000  # pixels; the candidates of more would need gigabytes


class Basis(Protocol):
    """Eigenvectors V of the Laplacian, wherever they are; `Eigenbasis` says what each of these is."""

    @property
    def values(self) -> np.ndarray: ...
    @property
    def statistics(self) -> Mapping[str, float | int | str]: ...
    @property
    def refined(self) -> bool: ...
    @property
    def pixels(self) -> int: ...
    def rows(self, pixels: np.ndarray) -> np.ndarray: ...
    def means(self, groups: np.ndarray) -> np.ndarray: ...
    def combine(self, coefficients: np.ndarray) -> np.ndarray: ...
    def ones(self) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class Eigenbasis:
    """Eigenvectors ``V = P X`` of the Laplacian, with orthonormal columns, that need not be formed.

    values : (n,) eigenvalues.
    coefficients : X; (N, n) the eigenvectors themselves, or (c, n) where they were left in the coarse space.
    prolongation : P, (N, c) sparse, or None for the identity.
    statistics : how the solver got there, plain numbers.
    """

    values: np.ndarray
    coefficients: np.ndarray
    prolongation: sp.csr_array | None
    statistics: Mapping[str, float | int | str]

    @property
    def refined(self) -> bool:
        """Whether the eigenvectors are known at every pixel, not in the coarse space only."""
        return self.prolongation is None

    @property
    def pixels(self) -> int:
        """N."""
        return len(self.coefficients) if self.prolongation is None else self.prolongation.shape[0]

    def rows(self, pixels: np.ndarray) -> np.ndarray:
        """(s, n) float64 rows of V at the given pixels."""
        if self.prolongation is None:
            return np.asarray(self.coefficients[pixels], dtype=np.float64)
        return np.asarray(self.prolongation[pixels] @ self.coefficients)

    def means(self, groups: np.ndarray) -> np.ndarray:
        """(g, n) float64 mean rows of V over the pixels of each group; (N,) integers 0..g-1, none of them empty."""
        areas = np.bincount(groups)
        each = (1 / areas[groups]).astype(self.coefficients.dtype)
        average = sp.csr_array((each, (groups, np.arange(groups.size))), shape=(len(areas), groups.size))
        if self.prolongation is not None:
            average = average @ self.prolongation
        return np.asarray(average @ self.coefficients, dtype=np.float64)

    def expand(self, coefficients: np.ndarray) -> np.ndarray:
        """(N, m) float64 vectors V Y for (n, m) coefficients Y."""
        inner = self.coefficients @ coefficients.astype(self.coefficients.dtype, copy=False)
        return np.asarray(inner if self.prolongation is None else self.prolongation @ inner, dtype=np.float64)

    def combine(self, coefficients: np.ndarray) -> np.ndarray:
        """(m, N) float64 combinations Y V^T, one after the other in memory, for (m, n) coefficients Y."""
        if self.prolongation is not None or self.coefficients.dtype != np.float32:
            return np.ascontiguousarray(self.expand(coefficients.T).T)
        weights = torch.from_numpy(coefficients.astype(np.float32))
        return np.asarray((weights @ torch.from_numpy(self.coefficients).T).double().numpy())

    def ones(self) -> np.ndarray:
        """(n,) coefficients V^T 1 of the constant vector."""
        if self.prolongation is None:
            return np.asarray(self.coefficients.sum(axis=0, dtype=np.float64))
        return np.asarray(self.coefficients.T @ self.prolongation.sum(axis=0))


@overload
def eigenbasis(laplacian: sp.csr_array, image: np.ndarray, settings: SpectrumSettings) -> Eigenbasis: ...
@overload
def eigenbasis(
    laplacian: sp.csr_array, image: np.ndarray, settings: SpectrumSettings, device: torch.device | None
) -> Basis: ...
def eigenbasis(
    laplacian: sp.csr_array, image: np.ndarray, settings: SpectrumSettings, device: torch.device | None = None
) -> Basis:
    """The lowest eigenvectors by the route that `settings.solver` names.

    "exact": all digits, by shift-invert on every pixel. "fast": the best ones in a space of
    `settings.coarse_unknowns` locally colour-affine functions, more of them than wanted, refined at every pixel,
    where all candidates are in memory at once; more than two megapixels, to which the pipeline
    reduces no photo by its defaults, keep the coarse ones. With a `device`, "fast" refines in plain PyTorch and leaves
    the eigenvectors there; without, and whatever else there is to do, on the processor.
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
    if settings.smoothing_steps and laplacian.shape[0] <= _LARGEST_REFINED:
        basis = _refined(laplacian, image, count, settings, device)
        if basis is not None:
            return basis
    # Made anew after a refinement that came to nothing, which is rare: it was given back to have memory for that.
    prolongation = coarse_space(image, settings.coarse_unknowns).functions
    count = min(count, prolongation.shape[1] // 2)
    values, coefficients = galerkin_eigenpairs(laplacian, prolongation, count)
    statistics = {"eigenvectors": count, "coarse_unknowns": prolongation.shape[1], "candidates": count}
    return Eigenbasis(values, coefficients, prolongation, statistics)


def _refined(
    laplacian: sp.csr_array, image: np.ndarray, count: int, settings: SpectrumSettings, device: torch.device | None
) -> Basis | None:
    """The lowest pairs among smoothed candidates; None where smoothing did not leave enough of them."""
    space = coarse_space(image, settings.coarse_unknowns)
    unknowns, steps = space.functions.shape[1], settings.smoothing_steps
    count = min(count, unknowns // 2)
    candidates = min(max(settings.candidates, 5 * count // 4), 3 * unknowns // 4)
    if device is not None:
        return refined_basis(laplacian, space, count, candidates, steps, device)
    smoother = Smoother.of(laplacian, space.shape[1], steps)
    coefficients, shared = _candidates(smoother, space, candidates)
    functions = space.functions.astype(np.float32)
    del space
    values, vectors = refine(smoother, functions, coefficients, count)
    if len(values) < count:
        return None
    statistics = {
        "eigenvectors": count,
        "coarse_unknowns": unknowns,
        "shared_columns": shared,
        "candidates": candidates,
        "smoothing_steps": steps,
    }
    return Eigenbasis(values, vectors, None, statistics)


def _candidates(smoother: Smoother, space: CoarseSpace, count: int) -> tuple[np.ndarray, int]:
    """(n, count) coefficients of those functions of the space that are lowest once smoothed; and the columns it took.

    What is as large as the photo is given back as soon as it has served: the eigenvectors need the memory.
    """
    packing = Packing.of(space, STEPS * REACH)
    columns = packing.matrix.shape[1]
    stiffness, mass = smoothed_matrices(smoother, packing)
    del packing
    return lowest_pairs(stiffness, mass, count, roughly=True)[1], columns
