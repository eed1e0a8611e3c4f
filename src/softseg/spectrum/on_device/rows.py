"""A sparse matrix with few entries in every row, for products that give the same bytes every time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch

from softseg.devices import to_tensor


@dataclass(frozen=True, eq=False)
class PaddedRows:
    """An (N, c) matrix by the entries of its rows, each filled up with zeros to the length of the longest, s.

    A prolongation has at most 16 in a row. Of PyTorch's products with sparse matrices on a GPU none promises the same
    order of additions each time.

    columns : (s, N) int64.
    entries : (s, N) float32.
    """

    columns: torch.Tensor
    entries: torch.Tensor

    @classmethod
    def of(cls, matrix: sp.csr_array, device: torch.device) -> PaddedRows:
        """Of a CSR matrix."""
        starts = to_tensor(matrix.indptr, device).long()
        lengths = starts.diff()
        row = torch.arange(len(lengths), device=device).repeat_interleave(lengths)
        place = torch.arange(len(row), device=device) - starts[row]
        shape = int(np.diff(matrix.indptr).max(initial=0)), len(lengths)
        columns = torch.zeros(shape, dtype=torch.long, device=device)
        entries = torch.zeros(shape, dtype=torch.float32, device=device)
        columns[place, row] = to_tensor(matrix.indices, device).long()
        entries[place, row] = to_tensor(matrix.data, device).float()
        return cls(columns, entries)

    def product(self, coefficients: torch.Tensor) -> torch.Tensor:
        """(n, N) float32, the transpose of the matrix times (c, n) float32 coefficients."""
        across = coefficients.T.contiguous()
        total = self.entries.new_zeros(len(across), self.entries.shape[1])
        for columns, entries in zip(self.columns, self.entries, strict=True):
            total.addcmul_(across[:, columns], entries)
        return total
