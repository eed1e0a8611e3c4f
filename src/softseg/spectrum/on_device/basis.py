"""Eigenvectors that stay on the device on which they were found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch

from softseg.devices import full_precision, synchronize, to_tensor
from softseg.graph.stencil import COLUMNS, REACH
from softseg.spectrum.coarse_space import CoarseSpace
from softseg.spectrum.on_device.refinement import lowest_coefficients, refine
from softseg.spectrum.on_device.rows import PaddedRows
from softseg.spectrum.on_device.smoothed_space import smoothed_matrices
from softseg.spectrum.on_device.smoothing import DeviceSmoother
from softseg.spectrum.packing import Packing
from softseg.spectrum.smoothed_space import STEPS


@dataclass(frozen=True, eq=False)
class DeviceBasis:
    """Eigenvectors of the Laplacian, orthonormal; what is asked of them comes back as arrays, as from `Eigenbasis`.

    values : (n,) eigenvalues.
    vectors : (n, N) float32 on the device.
    statistics : how the solver got there, plain numbers.
    """

    values: np.ndarray
    vectors: torch.Tensor
    statistics: Mapping[str, float | int | str]

    @property
    def refined(self) -> bool:
        """The eigenvectors are known at every pixel."""
        return True

    @property
    def pixels(self) -> int:
        """N."""
        return self.vectors.shape[1]

    def rows(self, pixels: np.ndarray) -> np.ndarray:
        """(s, n) float64 rows of V at the given pixels."""
        return _array(self.vectors[:, to_tensor(pixels, self.vectors.device)].T)

    def means(self, groups: np.ndarray) -> np.ndarray:
        """(g, n) float64 mean rows of V over the pixels of each group; (N,) integers 0..g-1, none of them empty."""
        areas = np.bincount(groups)
        return _array(group_sums(self.vectors, groups, areas).T) / areas[:, None]

    @full_precision()
    def combine(self, coefficients: np.ndarray) -> np.ndarray:
        """(m, N) float64 combinations Y V^T for (m, n) coefficients Y."""
        return _array(to_tensor(coefficients.astype(np.float32), self.vectors.device) @ self.vectors)

    def ones(self) -> np.ndarray:
        """(n,) coefficients V^T 1 of the constant vector."""
        return _array(torch.cat([some.sum(1, dtype=torch.float64) for some in torch.split(self.vectors, COLUMNS)]))


def _array(values: torch.Tensor) -> np.ndarray:
    """In double precision, by way of fewer bytes."""
    return np.ascontiguousarray(values.contiguous().cpu().double().numpy())


def group_sums(planes: torch.Tensor, groups: np.ndarray, areas: np.ndarray) -> torch.Tensor:
    """(n, g) sums of (n, N) planes over the pixels of each group, of which `areas` says how many; none is empty.

    By halves: of the values of a group, in order, each takes in the next one, then each second the next second one, and
    so on. All groups take part in each of the few passes, and the additions are always the same ones.
    """
    group, order = torch.sort(to_tensor(groups, planes.device), stable=True)
    lengths = to_tensor(areas, planes.device)
    starts = lengths.cumsum(0) - lengths
    place = torch.arange(len(group), device=planes.device) - starts[group]
    left = lengths[group] - place
    sums, step = planes[:, order], 1
    while step < areas.max():
        into = torch.nonzero((place % (2 * step) == 0) & (left > step)).squeeze(1)
        sums[:, into] += sums[:, into + step]
        step *= 2
    return sums[:, starts]


@full_precision()
def refined_basis(
    laplacian: sp.csr_array, space: CoarseSpace, count: int, candidates: int, steps: int, device: torch.device
) -> DeviceBasis | None:
    """The `count` lowest pairs among smoothed candidates; None where smoothing did not leave enough of them."""
    smoother = DeviceSmoother.of(laplacian, space.shape[1], steps, device)
    packing = Packing.of(space, STEPS * REACH)
    columns = packing.matrix.shape[1]
    stiffness, mass = smoothed_matrices(smoother, packing)
    del packing  # as large as the photo
    coefficients = lowest_coefficients(stiffness, mass, candidates)
    values, vectors = refine(smoother, PaddedRows.of(space.functions, device), coefficients, count)
    if len(values) < count:
        return None
    statistics = {
        "eigenvectors": count,
        "coarse_unknowns": space.functions.shape[1],
        "shared_columns": columns,
        "candidates": candidates,
        "smoothing_steps": steps,
    }
    synchronize(device)  # so that the stage that times this has all of it
    return DeviceBasis(values, vectors, statistics)
