"""A symmetric sparse matrix of a photo's pixels as a few of its diagonals and a rest, in single precision."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

_REACH = 2  # rows and columns: two pixels in one 3 x 3 window are no farther apart


class Diagonals(NamedTuple):
    """A = diag(main) + the diagonals `offsets` above and below it + rest, for the N pixels of a photo.

    A pixel's neighbours lie at the same distances in row-major order wherever it is, so their entries need no indices,
    and a product with them reads memory in order. The rest, such as affinities between the middles of superpixels, are
    few rows.
    """

    main: np.ndarray  # (N,) float32
    offsets: np.ndarray  # (m,) int64, each at least 1, ascending
    values: np.ndarray  # (m, reach + N) float32: A[i, i + offsets[d]] = values[d, reach + i], reach = offsets[-1]
    rows: np.ndarray  # (n,) int32, ascending: the pixels where the rest has entries
    starts: np.ndarray  # (n + 1,) int32, CSR of the rest among these pixels
    columns: np.ndarray  # int32, below n
    entries: np.ndarray  # float32

    @classmethod
    def of(cls, matrix: sp.csr_array, width: int) -> Diagonals:
        """The (N, N) symmetric matrix of a photo `width` pixels wide; below the main diagonal only the rest is read."""
        from softseg.graph.diagonals_kernel import rest_kernel, split_kernel  # brings the compiler along

        size = matrix.shape[0]
        offsets = _offsets(width, size)
        reach = int(offsets[-1])
        main, values = np.zeros(size, np.float32), np.zeros((len(offsets), reach + size), np.float32)
        rest = np.zeros(size, np.int32)
        diagonal_of = np.full(reach + 1, -1, np.int8)
        diagonal_of[offsets] = np.arange(len(offsets))
        # The kernels take no memory that is read-only.
        indices, entries = (np.require(part, requirements=["C", "W"]) for part in (matrix.indices, matrix.data))
        csr = np.require(matrix.indptr, indices.dtype, ["C", "W"]), indices, entries
        types = indices.dtype, entries.dtype
        split_kernel(*types)(*csr, diagonal_of, main, values, rest)
        rows = np.flatnonzero(rest).astype(np.int32)
        starts = np.concatenate([[0], np.cumsum(rest[rows])]).astype(np.int32)
        columns, others = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.float32)
        rest_kernel(*types)(*csr, diagonal_of, rows, starts, columns, others)
        return cls(main, offsets, values, rows, starts, np.searchsorted(rows, columns).astype(np.int32), others)

    @property
    def reach(self) -> int:
        """How far the diagonals are from the main one, at most."""
        return int(self.offsets[-1])


def _offsets(width: int, size: int) -> np.ndarray:
    """Distances in row-major order of the pixels up to `_REACH` rows and columns apart; some meet in narrow photos."""
    y, x = np.mgrid[0 : _REACH + 1, -_REACH : _REACH + 1]
    distances = np.unique(y * width + x)
    return distances[(distances > 0) & (distances < max(size, 2))].astype(np.int64)
