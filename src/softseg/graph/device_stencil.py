"""The Laplacian on a device, for plain PyTorch: 25 planes of coefficients, and few far entries as a dense matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
import torch

from softseg.devices import to_tensor
from softseg.graph.stencil import REACH, SIDE, size_of

_ROWS = 1 << 17  # of the matrix, whose entries are sorted at a time: what that needs does not grow with the photo
_CENTER = SIDE * SIDE // 2


@dataclass(frozen=True, eq=False)
class DeviceStencil:
    """A symmetric (N, N) matrix over the pixels of a photo, `softseg.graph.stencil.Stencil` for any device.

    width : of the photo, in pixels.
    near : (25, N) entries at the neighbours of a pixel within a 5 x 5 square, row-major, zero outside the photo.
    far : (r,) int64, the pixels that have neighbours farther away, ascending.
    among : (r, r) entries between these. Differs from the compiled route in: 2. It is dense: of the superpixels, of
        which there are some 2,500, each has many others as neighbours, and products of dense matrices give the same
        bytes every time.

    Vectors are planes: (n, margin + N + margin), each in one piece with zeros in the margins, so that a neighbour's
    value is the same plane read from another place on.
    """

    width: int
    near: torch.Tensor
    far: torch.Tensor
    among: torch.Tensor

    @classmethod
    def of(
        cls, matrix: sp.csr_array, width: int, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> DeviceStencil:
        """Take a symmetric CSR matrix over the pixels, in row-major order, of a photo of this width to the device.

        Raises
        ------
        InputError : the matrix is not that of whole rows of such a photo.
        """
        size = size_of(matrix, width)
        near = torch.zeros(SIDE * SIDE, size, dtype=dtype, device=device)
        rest = []
        for rows, columns, entries in _entries(matrix, device, dtype):
            down = columns // width - rows // width
            across = columns % width - rows % width
            is_near = (down.abs() <= REACH) & (across.abs() <= REACH)
            place = (((down + REACH) * SIDE + across + REACH) * size + rows)[is_near]
            near.view(-1)[place] = entries[is_near]
            rest.append([part[~is_near] for part in (rows, columns, entries)])
        rows, columns, entries = (torch.cat(parts) for parts in zip(*rest, strict=True))
        far = torch.unique(torch.cat([rows, columns]))
        among = torch.zeros(len(far), len(far), dtype=dtype, device=device)
        among[torch.searchsorted(far, rows), torch.searchsorted(far, columns)] = entries
        return cls(width, near, far, among)

    @property
    def size(self) -> int:
        """N."""
        return self.near.shape[1]

    @property
    def margin(self) -> int:
        """Zeros before and after the N values of a plane."""
        return REACH * (self.width + 1)

    @property
    def diagonal(self) -> torch.Tensor:
        """(N,); `among` has nothing there."""
        return self.near[_CENTER]

    def zeros(self, count: int) -> torch.Tensor:
        """That many planes."""
        return self.near.new_zeros(count, self.size + 2 * self.margin)

    def padded(self, values: torch.Tensor) -> torch.Tensor:
        """Planes of (n, N) values."""
        return torch.nn.functional.pad(values, (self.margin, self.margin))

    def inside(self, planes: torch.Tensor) -> torch.Tensor:
        """(n, N) values between the margins, a view."""
        return planes[:, self.margin : self.margin + self.size]

    def product(self, planes: torch.Tensor) -> torch.Tensor:
        """(n, N) A V."""
        total = self.near.new_zeros(len(planes), self.size)
        self.add_product(planes, total)
        return total

    def add_product(self, planes: torch.Tensor, total: torch.Tensor, gain: float = 1.0) -> None:
        """total += gain A V, (n, N)."""
        for k, entries in enumerate(self.near):
            start = self.margin + (k // SIDE - REACH) * self.width + k % SIDE - REACH
            total.addcmul_(planes[:, start : start + self.size], entries, value=gain)
        if len(self.far):
            at_far = self.inside(planes)[:, self.far]
            total[:, self.far] += gain * (at_far @ self.among.T)  # no pixel twice: nothing is added at the same time

    def scaled(self, rows: torch.Tensor, shift: float) -> DeviceStencil:
        """diag(rows) A + shift Id, which is not symmetric any more."""
        near = self.near * rows
        near[_CENTER] += shift
        return replace(self, near=near, among=self.among * rows[self.far, None])

    def without_far(self) -> DeviceStencil:
        """The near entries alone, with the sum of each row's far ones on the diagonal: rows keep their sums."""
        near = self.near.clone()
        near[_CENTER, self.far] += self.among.sum(1)
        return replace(self, near=near, far=self.far[:0], among=self.among[:0, :0])

    def far_part(self) -> torch.Tensor:
        """(r, r) what `without_far` leaves out, at the far pixels; its rows sum to zero."""
        return self.among - torch.diag(self.among.sum(1))


def _entries(
    matrix: sp.csr_array, device: torch.device, dtype: torch.dtype
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Rows, columns (int64) and entries of some rows after the other; no place occurs twice."""
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    size = matrix.shape[0]
    for first in range(0, size, _ROWS):
        starts = matrix.indptr[first : min(first + _ROWS, size) + 1]
        some = slice(starts[0], starts[-1])
        lengths = to_tensor(np.diff(starts).astype(np.int64), device)
        rows = torch.arange(first, first + len(lengths), device=device).repeat_interleave(lengths)
        columns = to_tensor(matrix.indices[some], device).long()
        yield rows, columns, to_tensor(matrix.data[some], device).to(dtype)
