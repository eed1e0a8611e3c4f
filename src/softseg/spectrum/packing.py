"""A colouring of the coarse space: functions of nodes that are far apart share a column, many of them a few vectors."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
import scipy.sparse as sp

from softseg.graph.stencil import COLUMNS, REACH
from softseg.spectrum.coarse_space import FUNCTIONS, CoarseSpace

_LARGEST_PERIOD = 6  # nodes from one to the next of the same column; with four functions of a node, 144 columns


@dataclass(frozen=True, eq=False)
class RowOfCells:
    """Cells side by side: rows of pixels from `first` to before `last`; each cell's columns of pixels, and owners."""

    first: int
    last: int
    cells: list[tuple[slice, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Packing:
    """Columns that several functions of a coarse space share, and which function is which where.

    Along an axis with nodes d apart, a function that has spread by `reach` pixels lies within d + reach of its node. Of
    every m-th node, m even and m d / 2 at least that, one alone can be other than zero between two nodes that are
    neighbours: in a cell.

    reach : pixels in each direction by which the functions may spread.
    matrix : (N, c) the functions, added up to columns, float32.
    rows, columns : (cells + 1,) where the cells begin along the height and the width, and the end.
    owners : (rows of cells, columns of cells, C) the function that each column stands for in a cell, -1 for none; C is
        c made up to whole blocks of 32.

    Source: compression of columns by a colouring, as for sparse Jacobians (Curtis, Powell and Reid 1974).
    """

    reach: int
    matrix: sp.csr_array
    rows: np.ndarray
    columns: np.ndarray
    owners: np.ndarray

    @classmethod
    def of(cls, space: CoarseSpace, reach: int) -> Packing:
        """The fewest columns for a `reach`; for a shorter one where nodes are so close that it takes more than 144."""
        apart = min(size / nodes for size, nodes in zip(space.shape, space.grid, strict=True))
        reach = min(reach, max(REACH, int((_LARGEST_PERIOD / 2 - 1) * apart - 0.5)))
        (rows, down), (columns, across) = (
            _windows(size, nodes, reach) for size, nodes in zip(space.shape, space.grid, strict=True)
        )
        periods = down.shape[1], across.shape[1]
        function_at = np.full((*space.grid, FUNCTIONS), -1, np.int32)
        function_at.reshape(-1)[space.slots] = np.arange(len(space.slots))
        owners = function_at[down[:, None, :, None], across[None, :, None, :]].reshape(len(down), len(across), -1)

        row, column, kind = np.unravel_index(space.slots, function_at.shape)
        place = np.ravel_multi_index((row % periods[0], column % periods[1], kind), (*periods, FUNCTIONS)).astype(
            np.int32
        )
        functions = space.functions
        packed = sp.csr_array(
            (functions.data.astype(np.float32), place[functions.indices], functions.indptr),
            shape=(functions.shape[0], owners.shape[2]),
        )
        spare = -owners.shape[2] % COLUMNS
        return cls(reach, packed, rows, columns, np.pad(owners, ((0, 0), (0, 0), (0, spare)), constant_values=-1))

    @property
    def functions(self) -> int:
        """n."""
        return int(self.owners.max()) + 1

    def cells(self) -> list[RowOfCells]:
        """All cells, row by row."""
        pairs = [slice(*self.columns[j : j + 2]) for j in range(self.owners.shape[1])]
        return [
            RowOfCells(int(self.rows[i]), int(self.rows[i + 1]), list(zip(pairs, owners, strict=True)))
            for i, owners in enumerate(self.owners)
        ]

    def owners_at(self, pixels: np.ndarray) -> np.ndarray:
        """(p, C) the function that each column stands for at some pixels, -1 for none."""
        y, x = np.divmod(pixels, self.columns[-1])
        cell = (np.searchsorted(edges, at, side="right") - 1 for edges, at in ((self.rows, y), (self.columns, x)))
        return np.asarray(self.owners[tuple(cell)])

    def unpacked(self, pixels: np.ndarray, values: np.ndarray) -> np.ndarray:
        """(p, n) values of all functions at some pixels, from the (p, C) of the columns there."""
        owners = self.owners_at(pixels)
        found = np.zeros((len(pixels), self.functions), values.dtype)
        which, column = np.nonzero(owners >= 0)
        found[which, owners[which, column]] = values[which, column]
        return found


def _windows(size: int, nodes: int, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the cells of an axis begin and end, (nodes + 2,); and the node that each of m columns has in each cell.

    Cells lie between neighbouring nodes, which are at the centres of equal parts; one more is outside at each end.
    """
    apart = size / nodes
    period = min(nodes, 2 * ceil(1 + (reach + 0.5) / apart))
    centers = np.ceil((np.arange(nodes) + 0.5) * apart - 0.5).astype(np.int64)
    first = np.clip(np.arange(nodes + 1) - period // 2, 0, nodes - period)
    window = first[:, None] + np.arange(period)
    return np.r_[0, centers, size], np.take_along_axis(window, np.argsort(window % period, axis=1), axis=1)
