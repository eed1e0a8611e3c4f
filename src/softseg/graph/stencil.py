"""The Laplacian as the kernels read it: 25 coefficients for every pixel, and a few rows of far neighbours."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch

from softseg.checks import for_kernel
from softseg.errors import InputError

SIDE = 5  # pixels; the matting affinity joins those that share a 3 x 3 window
REACH = SIDE // 2  # pixels in each direction that a product goes, but for far entries
COLUMNS = 32  # of a block: the sums of two pixels, 8 vectors, fill half of the registers of AVX2
_ROWS = 32  # of pixels, for one thread at a time


@dataclass(frozen=True, eq=False)
class Stencil:
    """A symmetric (N, N) matrix over the pixels of a photo, in single precision.

    width : of the photo, in pixels.
    near : (N, 25) entries at the neighbours of a pixel within a 5 x 5 square, row-major, zero outside the photo.
    far : (r,) the pixels that have neighbours farther away, ascending.
    starts, columns, entries : (r, r) CSR matrix of these, int32, int32 and float32.

    Without an index for each entry there is half as much to read, and neighbours in a row lie side by side.
    """

    width: int
    near: np.ndarray
    far: np.ndarray
    starts: np.ndarray
    columns: np.ndarray
    entries: np.ndarray

    @classmethod
    def of(cls, matrix: sp.csr_array, width: int) -> Stencil:
        """Take a symmetric CSR matrix over the pixels, in row-major order, of a photo of this width apart.

        Raises
        ------
        InputError : the matrix is not that of whole rows of such a photo.
        """
        size = size_of(matrix, width)
        from softseg.graph.stencil_kernel import split_kernel

        near = np.zeros((size, SIDE * SIDE), np.float32)
        is_far = np.zeros(matrix.nnz, np.bool_)
        indices, indptr = for_kernel(matrix.indices, np.int32), for_kernel(matrix.indptr, np.int32)
        data = for_kernel(matrix.data, np.float64)
        split = split_kernel()

        def split_strip(first: int) -> None:
            last = min(first + _ROWS * width, size)
            split(width, first, indptr[first : last + 1], indices, data, near[first:last], is_far)

        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            list(pool.map(split_strip, range(0, size, _ROWS * width)))
        places = np.flatnonzero(is_far)
        rows, columns = np.searchsorted(indptr, places, side="right") - 1, indices[places]
        has_far = np.zeros(size, np.bool_)
        has_far[rows] = has_far[columns] = True
        far, place_of = np.flatnonzero(has_far), np.cumsum(has_far) - 1
        rest = sp.csr_array(
            (data[places].astype(np.float32), (place_of[rows], place_of[columns])), shape=(len(far), len(far))
        )
        return cls(
            width, near, far.astype(np.int32), rest.indptr.astype(np.int32), rest.indices.astype(np.int32), rest.data
        )

    @property
    def margin(self) -> int:
        """Rows of zeros that the kernels expect before and after the N rows of what they multiply."""
        return REACH * (self.width + 1)

    @property
    def diagonal(self) -> np.ndarray:
        """(N,) float32."""
        return self.near[:, SIDE * SIDE // 2]

    def without_far(self) -> Stencil:
        """The near entries alone, with the sum of each row's far ones on the diagonal: rows keep their sums."""
        near = self.near.copy()
        near[self.far, SIDE * SIDE // 2] += self._far_matrix().sum(axis=1)
        nothing = np.zeros(0, np.int32)
        return Stencil(self.width, near, nothing, np.zeros(1, np.int32), nothing, np.zeros(0, np.float32))

    def far_part(self) -> sp.csr_array:
        """(r, r) what `without_far` leaves out, at the far pixels; its rows sum to zero."""
        matrix = self._far_matrix()
        return sp.csr_array(matrix - sp.diags_array(matrix.sum(axis=1), format="csr"))

    def _far_matrix(self) -> sp.csr_array:
        return sp.csr_array((self.entries, self.columns, self.starts), shape=(len(self.far), len(self.far)))


def size_of(matrix: sp.csr_array, width: int) -> int:
    """N of an (N, N) matrix; an error where that is not whole rows of a photo of this width."""
    size: int = matrix.shape[0]
    if matrix.shape != (size, size) or size % width:
        raise InputError(f"A matrix {matrix.shape} does not belong to a photo of {width} pixels a row.")
    return size


def zero_block(rows: int) -> np.ndarray:
    """(rows, 32) float32 zeros that begin with a line of the cache, so that no vector lies across two lines."""
    line = 64 // np.dtype(np.float32).itemsize
    numbers = np.zeros(rows * COLUMNS + line, np.float32)
    start = -numbers.ctypes.data % 64 // numbers.itemsize
    return numbers[start : start + rows * COLUMNS].reshape(rows, COLUMNS)


class SpareBlocks:
    """Blocks that are used again: memory that a process touches for the first time takes longer than a product does."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._free: list[np.ndarray] = []

    def take(self) -> np.ndarray:
        """(rows, 32) float32: zeros, or within the margins whatever finite numbers its last user has left."""
        try:
            return self._free.pop()
        except IndexError:
            return zero_block(self._rows)

    def give(self, *blocks: np.ndarray) -> None:
        """Leave whole blocks, which nobody may use from now on, to the next ones."""
        self._free.extend(blocks)

    def release(self) -> None:
        """Give the memory of all that nobody has taken back."""
        self._free.clear()
