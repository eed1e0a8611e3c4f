"""What the functions of the coarse space cost once they are smoothed, found without smoothing each of them alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse as sp
import torch

from softseg.graph.products import to_torch
from softseg.graph.stencil import REACH
from softseg.spectrum.coarse_space import CoarseSpace
from softseg.spectrum.packing import Packing, RowOfCells
from softseg.spectrum.smoothing import Smoother, in_blocks
from softseg.threads import one_blas_thread

STEPS = 8  # measured: docs/method.md, Coarse space
# Of the mean diagonal of L, added to the energy of a function of length 1: smoothing makes some functions depend on
# each other, and the rounding of what is left of their differences must not seem to be the lowest.
_RIDGE = 2e-6
_TOGETHER = 128  # far pixels in one product


def smoothed_matrices(smoother: Smoother, space: CoarseSpace) -> tuple[np.ndarray, np.ndarray]:
    """``Q^T L Q`` and ``Q^T Q``, dense, of the smoothed functions ``Q = q(D^-1 L') P`` of a coarse space.

    Functions of P are rough at every pixel, some more than others, so that their energies say little about which
    combinations are low once they are smoothed; those of Q do. L' is L without its far entries, which keeps Q local: a
    step reaches two pixels. Functions that do not meet then share a column (`Packing`), and all of them are smoothed by
    as many products as a few would take.

    Parameters
    ----------
    smoother : of L; q is its polynomial of the degree `STEPS`.
    space : P, over the same photo.

    Returns
    -------
    Two (n, n) float32 arrays, symmetric to rounding. To the energies of the first a ridge of 2e-6 of the mean of D is
    added.

    Notes
    -----
    Source: here. Smoothed prolongations are those of smoothed aggregation (Vanek et al. 1996); that many of their
    columns fit into one is known from the estimation of sparse Jacobians (Curtis, Powell and Reid 1974).
    """
    from softseg.spectrum.galerkin_kernel import add_kernel  # brings the compiler along

    local, packing = smoother.local(STEPS), Packing.of(space, STEPS * REACH)
    width = space.shape[1]
    products = np.zeros((2, *[space.functions.shape[1]] * 2), np.float32)
    with ThreadPoolExecutor(torch.get_num_threads()) as pool, one_blas_thread():
        chosen = in_blocks(np.eye(packing.matrix.shape[1]))
        blocks = list(pool.map(lambda some: local(local.prolonged(packing.matrix, some)), chosen))

        def row_of_cells(row: RowOfCells) -> list[np.ndarray]:
            first, last, cells = row.first * width, row.last * width, row.cells
            energies = np.hstack([local.energy_rows(block, first, last) for block in blocks])
            values = np.hstack([block[local.inside][first:last] for block in blocks])
            photos = [part.reshape(-1, width, part.shape[1]) for part in (energies, values)]
            return [_cell_products(*(photo[:, across] for photo in photos)) for across, _ in cells]

        rows = packing.cells()
        for row, found in zip(rows, pool.map(row_of_cells, rows), strict=True):
            for (_, meant), both in zip(row.cells, found, strict=True):
                add_kernel()(both, meant, products)
    far = smoother.stencil.far
    at_far = packing.unpacked(far, np.hstack([block[local.inside][far] for block in blocks]))
    local.spare.give(*blocks)
    stiffness, mass = products
    _add_far_energies(smoother.stencil.far_part(), at_far, stiffness)
    level = _RIDGE / smoother.scale.mean(dtype=np.float64)
    stiffness[np.diag_indices(len(mass))] += np.float32(level) * mass.diagonal()
    return stiffness, mass


def _cell_products(energies: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(2, C, C) products of all columns within a cell: of L Q, and of Q, with Q."""
    left, right = (part.reshape(-1, part.shape[2]) for part in (energies, values))
    return np.stack([left.T @ right, right.T @ right])


def _add_far_energies(far: sp.csr_array, rows: np.ndarray, stiffness: np.ndarray) -> None:
    """Add those of the far entries, from the (r, n) rows of Q at the pixels that have them."""
    values = torch.from_numpy(rows)
    gradient = to_torch(far) @ values
    for first in range(0, len(rows), _TOGETHER):
        some = slice(first, first + _TOGETHER)
        used = np.flatnonzero(rows[some].any(axis=0))  # pixels that follow each other lie in few rows of cells
        near = slice(used[0], used[-1] + 1)
        stiffness[near] += (values[some, near].T @ gradient[some]).numpy()
