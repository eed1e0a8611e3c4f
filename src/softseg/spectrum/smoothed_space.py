"""What the functions of the coarse space cost once they are smoothed, found without smoothing each of them alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse as sp
import torch

from softseg.graph.products import to_torch
from softseg.graph.stencil import REACH
from softseg.spectrum.packing import Packing, RowOfCells
from softseg.spectrum.smoothing import Smoother, in_blocks
from softseg.threads import one_blas_thread

STEPS = 8  # measured: docs/method.md, Coarse space
# Smoothing makes some functions depend on each other, and in pictures of few colours they do before. What single
# precision leaves of their differences must be neither of negative length nor the lowest: of D, and of Q^T Q.
RIDGES = 2e-6, 4e-6
_TOGETHER = 128  # far pixels in one product


def smoothed_matrices(smoother: Smoother, packing: Packing) -> tuple[np.ndarray, np.ndarray]:
    """``Q^T L Q`` and ``Q^T Q``, dense, of the smoothed functions ``Q = q(D^-1 L') P`` of a coarse space.

    Functions of P are rough at every pixel, some more than others, so that their energies say little about which
    combinations are low once they are smoothed; those of Q do. L' is L without its far entries, which keeps Q local: a
    step reaches two pixels. Functions that do not meet then share a column (`Packing`), and all of them are smoothed by
    as many products as a few would take.

    Parameters
    ----------
    smoother : of L; q is its polynomial of the degree for which the packing leaves room.
    packing : of P, over the same photo.

    Returns
    -------
    Two (n, n) float32 arrays, symmetric but for rounding, and for what a product with L reads beyond a cell: two
    pixels, where Q is next to nothing. Each has a ridge: of 2e-6 of the harmonic mean of D times the squared length of
    the function, and of 4e-6 times that.

    Notes
    -----
    Source: here. Smoothed prolongations are those of smoothed aggregation (Vanek et al. 1996).
    """
    from softseg.spectrum.galerkin_kernel import assemble_kernel  # brings the compiler along

    local = smoother.local(packing.reach // REACH)
    width = smoother.stencil.width
    products = np.zeros((2, *[packing.functions] * 2), np.float32)
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
            for (_, owners), both in zip(row.cells, found, strict=True):
                assemble_kernel()(both, owners, products)
    far = smoother.stencil.far
    at_far = packing.unpacked(far, np.hstack([block[local.inside][far] for block in blocks]))
    local.spare.give(*blocks)
    stiffness, mass = products
    _add_far_energies(smoother.stencil.far_part(), at_far, stiffness)
    squares, diagonal = mass.diagonal().copy(), np.diag_indices(len(mass))
    stiffness[diagonal] += RIDGES[0] / smoother.scale.mean() * squares
    mass[diagonal] += RIDGES[1] * squares
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
        if len(used):
            near = slice(used[0], used[-1] + 1)
            stiffness[near] += (values[some, near].T @ gradient[some]).numpy()
